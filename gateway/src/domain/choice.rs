//! What a buyer would like to reserve: a model, packages and a store, as sign-ups and standby queues have it.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::identity::is_item_id;

/// What a buyer would like to reserve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Choice {
    /// The model's id.
    pub model: String,
    /// The packages' ids, sorted.
    pub packages: Vec<String>,
    /// The store's id; null: it is chosen later.
    #[schema(required)]
    pub store: Option<String>,
}

/// As one word of the ledger: `MODEL/PACKAGE,PACKAGE/STORE`. No id has these characters.
///
/// ```
/// use gateway::domain::choice::Choice;
/// let choice = Choice::from_word("air/cover,mat/gz-0001").unwrap();
/// assert_eq!((&*choice.model, choice.packages.len()), ("air", 2));
/// assert_eq!(choice.to_string(), "air/cover,mat/gz-0001");
/// assert_eq!(Choice::from_word("mini//").unwrap().store, None);
/// ```
impl fmt::Display for Choice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, packages, store } = self;
        write!(out, "{model}/{}/{}", packages.join(","), store.as_deref().unwrap_or_default())
    }
}

impl Choice {
    /// Reads such a word; `None` if it is not a valid one.
    pub fn from_word(word: &str) -> Option<Self> {
        let id = |text: &str| is_item_id(text).then(|| text.to_owned());
        let (model, rest) = word.split_once('/')?;
        let (packages, store) = rest.split_once('/')?;
        let packages = packages.split(',').filter(|_| !packages.is_empty()).map(id).collect::<Option<_>>()?;
        let store = if store.is_empty() { None } else { Some(id(store)?) };
        Some(Self { model: id(model)?, packages, store })
    }
}

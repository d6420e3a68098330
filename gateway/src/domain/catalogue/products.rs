//! The unchanging parts of a sale's page that may be long, made once: `meta`, and the JSON of each product.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Serialize;

use crate::domain::definition::{Definition, Meta};
use crate::domain::sale::Availability;

/// The members before `availability`, in the order of the API.
#[derive(Serialize)]
struct Before<'a> {
    id: &'a str,
    name: &'a str,
    price: u64,
}

/// The members after `availability`.
#[derive(Serialize)]
struct After<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a Meta>,
}

/// The JSON of the sale's `meta`, and of all models and packages but for the value of `availability`.
#[derive(Debug)]
pub struct ProductTexts {
    /// `"meta":{…},` or nothing.
    meta: Box<str>,
    models: Box<[ProductText]>,
    packages: Box<[ProductText]>,
    digest: u64,
    /// How long the members become at most.
    bytes_max: usize,
}

/// `{…,"availability":"` and `"…}`.
#[derive(Debug, Hash)]
struct ProductText {
    before: Box<str>,
    after: Box<str>,
}

impl ProductTexts {
    pub(super) fn new(definition: &Definition) -> Self {
        let models = definition.models.iter().map(|model| {
            let before = Before { id: &model.id, name: &model.name, price: model.price };
            ProductText::new(&before, &After { models: None, meta: model.meta.as_ref() })
        });
        let packages = definition.packages.iter().map(|package| {
            let before = Before { id: &package.id, name: &package.name, price: package.price };
            let after = After { models: package.models.as_deref(), meta: package.meta.as_ref() };
            ProductText::new(&before, &after)
        });
        let (models, packages): (Box<[_]>, Box<[_]>) = (models.collect(), packages.collect());
        let meta = definition.sale.meta.as_ref().and_then(|meta| serde_json::to_string(meta).ok());
        let meta = meta.map(|meta| format!("\"meta\":{meta},").into_boxed_str()).unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (&meta, &models, &packages).hash(&mut hasher);
        let products = models.iter().chain(&packages).map(|text| text.before.len() + text.after.len() + 16);
        let bytes_max = meta.len() + products.sum::<usize>() + 32;
        Self { meta, models, packages, digest: hasher.finish(), bytes_max }
    }

    /// How many bytes [`Self::push_members`] appends at most.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// A digest of all of it, the same at every gateway.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Appends the members `meta`, `models` and `packages`, with the levels of all models, then packages.
    pub fn push_members(&self, json: &mut String, mut levels: impl Iterator<Item = Availability>) {
        json.push_str(&self.meta);
        json.push_str("\"models\":");
        push_list(json, &self.models, &mut levels);
        json.push_str(",\"packages\":");
        push_list(json, &self.packages, &mut levels);
    }
}

fn push_list(json: &mut String, products: &[ProductText], levels: &mut impl Iterator<Item = Availability>) {
    let mut between = "[";
    for (product, level) in products.iter().zip(levels) {
        for text in [between, &product.before, level.name(), &product.after] {
            json.push_str(text);
        }
        between = ",";
    }
    json.push_str(if products.is_empty() { "[]" } else { "]" });
}

impl ProductText {
    fn new(before: &Before<'_>, after: &After<'_>) -> Self {
        let [before, after] =
            [serde_json::to_string(before), serde_json::to_string(after)].map(Result::unwrap_or_default);
        let before = before.strip_suffix('}').unwrap_or_default();
        let after = match after.strip_prefix('{').unwrap_or_default() {
            "}" => "\"}".into(),
            members => format!("\",{members}").into(),
        };
        Self { before: format!("{before},\"availability\":\"").into(), after }
    }
}

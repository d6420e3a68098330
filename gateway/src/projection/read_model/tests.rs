//! Unit tests of `read_model.rs`.

use super::*;

#[test]
fn a_new_sale_is_unread_only_once_it_should_have_been_read() {
    let (sales, now) = (Sales::default(), Instant::now());
    let set = |ids: &[&str], at| sales.set_unread(ids.iter().map(|id| (*id).to_owned()).collect(), at);
    assert!(!sales.is_listed() && sales.may_exist("any"), "the list was never read");
    set(&["car"], now);
    assert!(
        sales.may_exist("car") && !sales.may_exist("van"),
        "a tap on a sale that is being read is no 404"
    );
    assert_eq!(sales.unread(now + SALE_READ_MAX - Duration::from_millis(1)), [""; 0]);
    // Reads of the list in between do not begin it again.
    set(&["car", "van"], now + SALE_READ_MAX);
    assert_eq!(sales.unread(now + SALE_READ_MAX), ["car"]);
    set(&["van"], now + 2 * SALE_READ_MAX);
    assert_eq!(sales.unread(now + 2 * SALE_READ_MAX), ["van"]);
    assert!(!sales.may_exist("car"));
}

//! Unit tests of `keys.rs`.

use super::*;

#[test]
fn all_keys_of_a_sale_share_its_hash_tag() {
    for key in Keys::of("national-good-car").all() {
        assert!(key.starts_with("lg:{national-good-car}:"), "{key}");
        assert_eq!(slot_of(key), Keys::of("national-good-car").slot());
    }
    assert_eq!(slot_of(LIMITS_LOG), slot_of(LIMITS));
    assert_eq!(Keys::staged("a").slot(), Keys::of("a").slot());
    assert_eq!(Keys::of("a").records(), "lg:{a}:records");
    assert_eq!(Keys::of("a").journal(), "lg:{a}:journal");
    assert_eq!(Keys::of("a").definition(), "lg:{a}:definition");
}

#[test]
fn slots_are_those_of_redis() {
    // Expected values are from `CLUSTER KEYSLOT`.
    for (key, slot) in
        [("123456789", 12_739), ("foo", 12_182), ("{user1000}.following", 3_443), ("foo{}{bar}", 8_363)]
    {
        assert_eq!(slot_of(key), slot, "{key}");
    }
    assert_eq!(slot_of("foo{{bar}}zap"), slot_of("{bar"));
    assert_eq!(slot_of("foo{bar}{zap}"), slot_of("bar"));
}

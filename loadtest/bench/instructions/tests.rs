//! Unit tests of `instructions.rs`.

use super::*;

#[test]
fn calls_of_the_allocator_are_counted_by_their_number() {
    let text = "fn=(1) main\n1 5\ncfn=(2) __rustc::__rust_alloc\ncalls=3 9\n1 30\ncfn=(3) other\ncalls=8 1\n\
                fn=(4) more\ncfn=(2)\ncalls=4 9\n1 40\ntotals: 75\n";
    let profile = Profile::read(text);
    assert_eq!((profile.instructions, profile.allocations), (75, 7));
}

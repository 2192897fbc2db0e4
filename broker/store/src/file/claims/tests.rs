//! When a place may be given back.

use super::*;

fn claims(firsts: &[u64]) -> Claims {
    Claims::new(firsts)
}

#[test]
fn oldest_first_and_never_the_one_that_is_written() {
    let claims = claims(&[0, 100, 200, 300]);
    claims.owe(Position(150), 1);
    assert_eq!(claims.settled_below(300), Some(100));
    claims.forget_below(100);
    assert_eq!(claims.settled_below(300), None);
    assert!(claims.settle(Position(150)));
    assert_eq!(claims.settled_below(200), Some(200));
    assert_eq!(claims.settled_below(299), Some(200));
    assert_eq!(claims.settled_below(300), Some(300));
    // One that was not planned begins in the middle of the last: that one is written to still.
    assert_eq!(claims.settled_below(350), Some(300));
}

#[test]
fn what_is_held_stays_even_when_claims_are_settled_before_they_are_counted() {
    let claims = claims(&[0]);
    claims.at(Position(50)).unwrap().hold();
    claims.begin(100);
    assert!(!claims.settle(Position(50)));
    assert_eq!(claims.settled_below(100), None);
    claims.owe(Position(50), 1);
    assert_eq!(claims.settled_below(100), None);
    assert!(claims.let_go(Position(50)));
    assert_eq!(claims.settled_below(100), Some(100));
}

#[test]
fn the_last_one_wakes_nobody() {
    let claims = claims(&[0, 100]);
    claims.owe(Position(100), 2);
    assert!(!claims.settle(Position(100)));
    assert!(!claims.settle(Position(100)));
}

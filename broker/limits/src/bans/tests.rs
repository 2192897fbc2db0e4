use super::*;

const NOW: u64 = 1_000;

fn range(text: &str) -> BanTarget {
    BanTarget::address(text.parse().unwrap()).unwrap()
}

fn until(target: BanTarget, until_unix: Option<u64>) -> NewBan {
    let origin = BanOrigin::Administrator;
    NewBan { target, reason: "because".to_owned(), origin, until_unix }
}

fn flapping(number: u64, until_unix: u64) -> NewBan {
    let target = BanTarget::Client { principal: "p".to_owned(), client_id: number.to_string() };
    let origin = BanOrigin::Flapping;
    NewBan { target, reason: String::new(), origin, until_unix: Some(until_unix) }
}

fn of_address(bans: &Bans, address: &str) -> Option<u64> {
    let address = Some(address.parse().unwrap());
    bans.find(Suspect { address, ..Suspect::default() }, NOW).map(|ban| ban.id)
}

#[test]
fn addresses_are_in_ranges() {
    let mut bans = Bans::default();
    let wide = bans.add(until(range("10.0.0.0/8"), None), NOW).unwrap().id;
    let one = bans.add(until(range("192.0.2.7/32"), None), NOW).unwrap().id;
    let six = bans.add(until(range("2001:db8::/32"), None), NOW).unwrap().id;
    let mapped = bans.add(until(range("::ffff:198.51.100.0/120"), None), NOW).unwrap().id;
    for (address, expect) in [
        ("10.200.3.4", Some(wide)),
        ("11.0.0.1", None),
        ("192.0.2.7", Some(one)),
        ("::ffff:192.0.2.7", Some(one)),
        ("192.0.2.8", None),
        ("2001:db8:5::1", Some(six)),
        ("2001:db9::1", None),
        ("198.51.100.9", Some(mapped)),
    ] {
        assert_eq!(of_address(&bans, address), expect, "{address}");
    }
    bans.lift(one, NOW).unwrap();
    assert_eq!(of_address(&bans, "192.0.2.7"), None);
    assert_eq!(of_address(&bans, "10.1.1.1"), Some(wide));
    assert_eq!(BanTarget::address("10.0.0.1/8".parse().unwrap()), None);
}

#[test]
fn everything_else_is_equal_or_not() {
    let mut bans = Bans::default();
    let text = |text: &str| text.to_owned();
    let client = bans.add(until(BanTarget::ClientId(text("c")), None), NOW).unwrap().id;
    let principal = bans.add(until(BanTarget::Principal(text("p")), None), NOW).unwrap().id;
    let certificate = bans.add(until(BanTarget::Certificate([7; 32]), None), NOW).unwrap().id;
    let target = BanTarget::Client { principal: text("q"), client_id: text("d") };
    let pair = bans.add(until(target, None), NOW).unwrap().id;
    let find = |client_id, principal, certificate| {
        let suspect = Suspect { address: None, client_id, principal, certificate };
        bans.find(suspect, NOW).map(|ban| ban.id)
    };
    assert_eq!(find(Some("c"), None, None), Some(client));
    assert_eq!(find(Some("C"), Some("x"), Some(&[8; 32])), None);
    assert_eq!(find(Some("x"), Some("p"), None), Some(principal));
    assert_eq!(find(None, None, Some(&[7; 32])), Some(certificate));
    assert_eq!(find(Some("d"), Some("q"), None), Some(pair));
    assert_eq!(find(Some("d"), None, None), None);
    assert_eq!(find(Some("q"), Some("d"), None), None);
    assert_eq!(find(None, None, None), None);
}

#[test]
fn they_end() {
    let mut bans = Bans::default();
    let ban = bans.add(until(range("192.0.2.7/32"), Some(NOW + 10)), NOW).unwrap();
    let suspect = Suspect { address: Some([192, 0, 2, 7].into()), ..Suspect::default() };
    assert_eq!(bans.find(suspect, NOW + 9), Some(&ban));
    assert_eq!(bans.find(suspect, NOW + 10), None);
    assert_eq!(bans.get(ban.id, NOW + 10), None);
    assert_eq!(bans.list(0, NOW + 10).count(), 0);
    assert_eq!(bans.len(), 1);
    bans.clear(NOW + 10);
    assert!(bans.is_empty());
    // A name is not given twice.
    assert_ne!(bans.add(until(range("::/0"), None), NOW).unwrap().id, ban.id);
}

#[test]
fn who_is_banned_again_has_one_ban() {
    let mut bans = Bans::default();
    let first = bans.add(until(range("192.0.2.7/32"), Some(NOW + 10)), NOW).unwrap();
    let again = bans.add(until(range("192.0.2.7/32"), None), NOW + 1).unwrap();
    assert_eq!((again.id, again.until_unix, again.since_unix), (first.id, None, NOW + 1));
    assert_eq!(bans.len(), 1);
    bans.lift(first.id, NOW).unwrap();
    assert_eq!(of_address(&bans, "192.0.2.7"), None);
    assert_eq!(bans.lift(first.id, NOW), None);
}

#[test]
fn the_list_has_pages() {
    let mut bans = Bans::default();
    for number in 0..10 {
        bans.add(until(BanTarget::ClientId(format!("{number}")), None), NOW).unwrap();
    }
    let page = |after| bans.list(after, NOW).map(|ban| ban.id).take(4).collect::<Vec<_>>();
    assert_eq!((page(0), page(4), page(8)), (vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10]));
    assert_eq!(page(u64::MAX), [0; 0]);
}

#[test]
fn it_is_bounded() {
    let mut bans = Bans::default();
    for number in 0..BANS_MAX as u64 {
        bans.add(flapping(number, NOW + 1 + number), NOW).unwrap();
    }
    assert_eq!(bans.len(), BANS_MAX / 2);
    // Those that end first went.
    let first = bans.list(0, NOW).next().unwrap();
    assert_eq!(first.until_unix, Some(NOW + 1 + BANS_MAX as u64 / 2));
    for number in 0..BANS_MAX / 2 {
        bans.add(until(BanTarget::ClientId(format!("{number}")), None), NOW).unwrap();
    }
    let one_more = until(BanTarget::ClientId("one more".to_owned()), None);
    assert_eq!(bans.add(one_more, NOW), Err(TooManyBans { maximum: BANS_MAX }));
    // Whoever is banned can be banned for longer all the same.
    bans.add(until(BanTarget::ClientId("0".to_owned()), None), NOW).unwrap();
    bans.add(flapping(1 << 40, NOW + (1 << 40)), NOW).unwrap();
    assert_eq!(bans.len(), BANS_MAX);
}

#[test]
fn what_was_kept_goes_on() {
    let mut bans = Bans::default();
    bans.add(until(BanTarget::ClientId("a".to_owned()), Some(NOW + 5)), NOW).unwrap();
    bans.add(until(range("10.0.0.0/8"), None), NOW).unwrap();
    let kept: Vec<_> = bans.list(0, NOW).cloned().collect();
    let mut bans = Bans::restore(kept, NOW + 5);
    assert_eq!(of_address(&bans, "10.0.0.1"), Some(2));
    assert_eq!(bans.len(), 1);
    assert_eq!(bans.add(until(range("::/0"), None), NOW).unwrap().id, 3);
}

#[test]
fn those_that_are_over_are_told_once() {
    let mut bans = Bans::default();
    let short = bans.add(until(range("10.0.0.0/8"), Some(NOW + 5)), NOW).unwrap().id;
    let lifted = bans.add(until(range("11.0.0.0/8"), Some(NOW + 5)), NOW).unwrap().id;
    bans.lift(lifted, NOW);
    bans.clear(NOW);
    assert!(bans.take_ended().is_empty());
    // Whoever clears them away: also one that only makes room.
    bans.add(until(range("12.0.0.0/8"), None), NOW + 5).unwrap();
    assert_eq!(bans.take_ended(), [short]);
    assert!(bans.take_ended().is_empty());
}

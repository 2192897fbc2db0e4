use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn directory() -> Arc<Directory> {
    let mut roles = Roles::default();
    roles.add("viewer", &["clients:read".to_owned(), "status:read".to_owned()]).unwrap();
    roles.add("keeper", &["plugins:write".to_owned()]).unwrap();
    roles.add("all", &["*".to_owned()]).unwrap();
    Arc::new(Directory::empty(roles))
}

fn administrators() -> Administrators {
    Administrators::new(TokenHash::of(b"token"), directory(), Lasts { ttl: HOUR, idle: HOUR })
}

fn opening(administrators: &Administrators, roles: &[String]) -> Opening {
    let (roles, permissions) = administrators.directory.permitted(roles);
    let user = Some("u".to_owned());
    Opening {
        user,
        roles,
        permissions,
        expires_at_unix: None,
        cookie: false,
        source: Source::Chain,
    }
}

fn find(
    administrators: &Administrators,
    offered: Offered<'_>,
    now: Instant,
) -> Option<Arc<Administrator>> {
    administrators.find(offered, (now, 1_000))
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_unknown_permission_is_named() {
    let sentence = Roles::default().add("r", &["clients:reed".to_owned()]).unwrap_err();
    assert!(sentence.starts_with("\"clients:reed\" is no permission, allowed: *, "), "{sentence}");
}

#[test]
fn roles_unite_and_unknown_ones_are_nothing() {
    let now = (Instant::now(), 1_000);
    let administrators = administrators();
    let open =
        |roles: &[&str]| administrators.open(opening(&administrators, &named(roles)), now).unwrap();
    let (token, who) = open(&["viewer", "nobody", "keeper"]).unwrap();
    assert_eq!(who.roles, ["viewer", "keeper"]);
    let names: Vec<_> = who.permissions.names().collect();
    assert_eq!(names, ["clients:read", "plugins:write", "status:read"]);
    let found = find(&administrators, Offered::Bearer(token.as_bytes()), now.0).unwrap();
    assert_eq!(found.user.as_deref(), Some("u"));
    assert!(open(&["nobody"]).is_none() && open(&[]).is_none());
    assert_eq!(find(&administrators, Offered::Bearer(b"token"), now.0).unwrap().user, None);
    assert!(find(&administrators, Offered::Bearer(b"tokem"), now.0).is_none());
    administrators.close(Offered::Bearer(token.as_bytes()));
    assert!(find(&administrators, Offered::Bearer(token.as_bytes()), now.0).is_none());
}

#[test]
fn a_login_ends_with_its_grant_and_at_the_latest_with_its_time() {
    let now = Instant::now();
    let administrators = administrators();
    for (expires, seconds) in [(None, 3_600), (Some(1_060), 60), (Some(100_000), 3_600)] {
        let roles = named(&["all"]);
        let opened = {
            let opening = Opening { expires_at_unix: expires, ..opening(&administrators, &roles) };
            administrators.open(opening, (now, 1_000)).unwrap()
        };
        let (token, who) = opened.unwrap();
        assert_eq!(who.ends_unix, Some(1_000 + seconds));
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(
            find(&administrators, Offered::Bearer(token.as_bytes()), at(seconds - 1)).is_some()
        );
        assert!(find(&administrators, Offered::Bearer(token.as_bytes()), at(seconds)).is_none());
    }
}

#[test]
fn there_are_never_more_than_so_many() {
    let now = Instant::now();
    let administrators = administrators();
    let roles = named(&["all"]);
    let open = |user: usize, expires_at_unix| {
        let user = Some(format!("u{user}"));
        let opening = Opening { user, expires_at_unix, ..opening(&administrators, &roles) };
        administrators.open(opening, (now, 1_000)).unwrap().unwrap().0
    };
    let is_open =
        |token: &str| find(&administrators, Offered::Bearer(token.as_bytes()), now).is_some();
    let other = open(1, Some(1_005));
    let first = open(0, Some(1_010));
    for _ in 0..LOGINS_OF_USER_MAX {
        open(0, None);
    }
    assert_eq!(administrators.logins.lock().unwrap().len(), LOGINS_OF_USER_MAX + 1);
    assert!(!is_open(&first), "it would have ended first, of that user");
    assert!(is_open(&other), "of somebody else");
    for user in 0..LOGINS_MAX {
        open(2 + user, None);
    }
    assert_eq!(administrators.logins.lock().unwrap().len(), LOGINS_MAX);
    assert!(!is_open(&other), "it would have ended first, of all");
}

#[test]
fn a_login_that_rests_ends_and_one_that_is_used_goes_on() {
    let start = Instant::now();
    let lasts = Lasts { ttl: HOUR, idle: HOUR / 4 };
    let administrators = Administrators::new(TokenHash::of(b"token"), directory(), lasts);
    let opening = Opening { cookie: true, ..opening(&administrators, &named(&["all"])) };
    let (token, who) = administrators.open(opening, (start, 0)).unwrap().unwrap();
    assert!(who.csrf.as_ref().is_some_and(|csrf| csrf.len() == 43 && *csrf != *token));
    let used = |minutes: u64| {
        let now = start + Duration::from_secs(60 * minutes);
        find(&administrators, Offered::Cookie(token.as_bytes()), now).is_some()
    };
    assert!(find(&administrators, Offered::Bearer(token.as_bytes()), start).is_none(), "no bearer");
    assert!(find(&administrators, Offered::Cookie(b"token"), start).is_none(), "no cookie");
    let is_known = |minutes: u64| {
        let now = start + Duration::from_secs(60 * minutes);
        administrators.knows(Offered::Cookie(token.as_bytes()), (now, 1_000))
    };
    assert!(is_known(14) && !is_known(15), "a stream that looks is no use");
    assert!(used(14) && used(28) && used(42) && used(56) && !used(60), "its hour is over");
    let opening = Opening { cookie: true, ..self::opening(&administrators, &named(&["all"])) };
    let (token, _) = administrators.open(opening, (start, 0)).unwrap().unwrap();
    let rested = start + Duration::from_secs(60 * 15);
    assert!(find(&administrators, Offered::Cookie(token.as_bytes()), rested).is_none());
}

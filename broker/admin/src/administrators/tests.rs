use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn roles() -> Roles {
    let mut roles = Roles::default();
    roles.add("viewer", &["clients:read".to_owned(), "status:read".to_owned()]).unwrap();
    roles.add("keeper", &["plugins:write".to_owned()]).unwrap();
    roles.add("all", &["*".to_owned()]).unwrap();
    roles
}

fn administrators() -> Administrators {
    Administrators::new(TokenHash::of(b"token"), roles(), HOUR)
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
    let open = |roles: &[&str]| administrators.open(("u", &named(roles)), None, now).unwrap();
    let (token, who) = open(&["viewer", "nobody", "keeper"]).unwrap();
    assert_eq!(who.roles, ["viewer", "keeper"]);
    let names: Vec<_> = who.permissions.names().collect();
    assert_eq!(names, ["clients:read", "plugins:write", "status:read"]);
    let found = administrators.find(token.as_bytes(), now.0).unwrap();
    assert_eq!(found.user.as_deref(), Some("u"));
    assert!(open(&["nobody"]).is_none() && open(&[]).is_none());
    assert_eq!(administrators.find(b"token", now.0).unwrap().user, None);
    assert!(administrators.find(b"tokem", now.0).is_none());
    administrators.close(token.as_bytes());
    assert!(administrators.find(token.as_bytes(), now.0).is_none());
}

#[test]
fn a_login_ends_with_its_grant_and_at_the_latest_with_its_time() {
    let now = Instant::now();
    let administrators = administrators();
    for (expires, seconds) in [(None, 3_600), (Some(1_060), 60), (Some(100_000), 3_600)] {
        let roles = named(&["all"]);
        let opened = administrators.open(("u", &roles), expires, (now, 1_000)).unwrap();
        let (token, who) = opened.unwrap();
        assert_eq!(who.ends_unix, Some(1_000 + seconds));
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!(administrators.find(token.as_bytes(), at(seconds - 1)).is_some());
        assert!(administrators.find(token.as_bytes(), at(seconds)).is_none());
    }
}

#[test]
fn there_are_never_more_than_so_many() {
    let now = Instant::now();
    let administrators = administrators();
    let roles = named(&["all"]);
    let open = |expires| administrators.open(("u", &roles), expires, (now, 1_000)).unwrap();
    let (first, _) = open(Some(1_010)).unwrap();
    for _ in 0..LOGINS_MAX {
        open(None).unwrap();
    }
    assert_eq!(administrators.logins.lock().unwrap().len(), LOGINS_MAX);
    assert!(administrators.find(first.as_bytes(), now).is_none(), "it would have ended first");
}

//! Filling in.

use super::*;

fn filled(template: &str, value: &str) -> String {
    let template = Template::parse(template, &Variable::OF_CONNECT).unwrap();
    template.fill(|_| value, plain)
}

#[test]
fn values_stand_where_variables_stood() {
    assert_eq!(filled("a ${username} b${clientid}", "x"), "a x bx");
    assert_eq!(filled("$username {x} $", "x"), "$username {x} $");
    assert_eq!(filled("${username}", "${password}"), "${password}", "a value is no template");
    assert_eq!(filled("", "x"), "");
    let template = Template::parse("${username}", &Variable::OF_CONNECT).unwrap();
    assert!(template.has(Variable::Username) && !template.has(Variable::Password));
}

#[test]
fn only_known_ones() {
    for (text, what) in [
        ("${user}", "no ${user} here, only ${username}, ${clientid}"),
        ("${topic}", "no ${topic}"),
        ("${username", "closed"),
        ("${ username }", "no ${ username }"),
    ] {
        let error = Template::parse(text, &Variable::OF_CONNECT).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    assert!(Template::parse("${password}", &Variable::OF_CLIENT).is_err());
    assert!(Template::parse("${topic}", &Variable::OF_OPERATION).is_ok());
}

#[test]
fn escaped_is_one_part() {
    let mut text = String::new();
    escaped(&mut text, "a/b?c&d=e#f%2F ä\r\n");
    assert_eq!(text, "a%2Fb%3Fc%26d%3De%23f%252F%20%C3%A4%0D%0A");
}

//! `credentials.xml` of HiveMQ's File RBAC extension. Its permissions only allow, so that their order does not
//! matter: one that cannot be carried over is left out.
//!
//! | HiveMQ | here |
//! |---|---|
//! | user with roles | line of the password file, member of `[groups]` of that name |
//! | permission of a role | rule with `group`; two where non-shared and one group of shared subscriptions are allowed |
//! | `${{clientid}}`, `${{username}}` | `${clientid}`, `${username}` |
//! | `SALT:ITERATIONS:HASH` | `$pbkdf2-sha512$` |
//! | plain passwords (`PLAIN`) | argon2id |

mod document;

use std::collections::BTreeMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use toml::Value;

use self::document::{Document, Permission, User};
use super::{
    ImportError, Imported, Note,
    written::{File, Written, check_count},
};
use crate::password_file;

/// `password-type` of the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PasswordType {
    /// PBKDF2, as its generator writes it.
    Hashed,
    /// As they are.
    Plain,
}

/// The two files.
pub(crate) struct Made {
    pub(crate) acl: String,
    pub(crate) passwords: String,
}

/// Rules and a password file that permit what the document permits, or less.
pub(crate) fn convert(
    text: &str,
    password_type: PasswordType,
) -> Result<Imported<Made>, ImportError> {
    let document = document::read(text)?;
    let mut lost = document.lost.clone();
    let mut passwords =
        "# Made of a credentials.xml of HiveMQ by `portcullis import`.\n".to_owned();
    let mut groups: BTreeMap<String, Vec<String>> =
        document.roles.iter().map(|role| (role.id.clone(), Vec::new())).collect();
    let mut users = 0;
    for user in &document.users {
        match line(user, password_type)? {
            Ok(line) => passwords.push_str(&line),
            Err(text) => {
                lost.push(Note::new(user.line, format!("the user is left out: {text}")));
                continue;
            }
        }
        users += 1;
        for role in &user.roles {
            let members = groups.entry(role.clone()).or_default();
            if !members.contains(&user.name) {
                members.push(user.name.clone());
            }
        }
    }
    if users == 0 {
        return Err(ImportError::Whole("has no user that could be brought over".to_owned()));
    }
    let rules = rules(&document, &mut lost);
    check_count(&rules)?;
    lost.sort_by_key(|note| note.line);
    let origin = "a credentials.xml of HiveMQ";
    let file = File { origin, deny_wildcard_names: true, rules, groups };
    let made = Made { acl: file.text()?, passwords };
    Ok(Imported { made, lost, notes: vec![NAMES] })
}

/// The line of a user, or why there is none.
fn line(user: &User, password_type: PasswordType) -> Result<Result<String, String>, ImportError> {
    if user.name.contains(['+', '#']) {
        return Ok(Err("HiveMQ lets nobody in whose name holds + or #".to_owned()));
    }
    if let Err(failure) = password_file::check_user(&user.name) {
        return Ok(Err(failure.to_string()));
    }
    let hash = match password_type {
        PasswordType::Plain => {
            password_file::hash(user.password.as_bytes()).map_err(ImportError::Failed)?
        }
        PasswordType::Hashed => match pbkdf2(&user.password) {
            Ok(hash) => hash,
            Err(text) => return Ok(Err(text)),
        },
    };
    Ok(Ok(format!("{}:{hash}\n", user.name)))
}

/// `SALT:ITERATIONS:HASH`, both in base64, as a PHC string. The hash is of the bytes of the salt.
fn pbkdf2(stored: &str) -> Result<String, String> {
    let mut parts = stored.split(':');
    let (Some(salt), Some(iterations), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("the password is not SALT:ITERATIONS:HASH; is password-type PLAIN? then say \
                    --password-type plain"
            .to_owned());
    };
    let again = |part: &str| STANDARD.decode(part).map(|bytes| STANDARD_NO_PAD.encode(bytes));
    let (Ok(salt), Ok(hash)) = (again(salt), again(hash)) else {
        return Err("salt or hash is not base64".to_owned());
    };
    let hash = format!("$pbkdf2-sha512$i={iterations}${salt}${hash}");
    plugin_host::check_stored_hash(&hash).map_err(|what| format!("the hash {what}"))?;
    Ok(hash)
}

fn rules(document: &Document, lost: &mut Vec<Note>) -> Vec<Written> {
    let mut rules = Vec::new();
    for role in &document.roles {
        for permission in &role.permissions {
            match of_permission(permission) {
                Ok(made) => rules.extend(
                    made.into_iter().map(|rule| Written { group: Some(role.id.clone()), ..rule }),
                ),
                Err(text) => lost.push(Note::new(permission.line, text)),
            }
        }
    }
    rules
}

/// One rule, or two, or why there is none.
fn of_permission(permission: &Permission) -> Result<Vec<Written>, String> {
    let topic = topic(&permission.topic)?;
    let rule = |activity, shared| Written {
        qos: permission.qos,
        retain: permission.retain.filter(|_| activity != "subscribe"),
        shared,
        ..Written::new(permission.line, true, activity, topic.clone())
    };
    let activity = permission.activity;
    if activity == "publish" {
        return Ok(vec![rule(activity, None)]);
    }
    let group = permission.shared_group.as_deref();
    if let Some(name) = group.filter(|name| !acl_rules::is_share_name(name)) {
        return Err(format!("left out: {name:?} is no share name"));
    }
    Ok(match (permission.shared, group) {
        (None, None) => vec![rule(activity, None)],
        (Some(shared), None) => vec![rule(activity, Some(Value::Boolean(shared)))],
        (Some(false), Some(_)) => vec![rule(activity, Some(Value::Boolean(false)))],
        (Some(true), Some(name)) => vec![rule(activity, Some(name.into()))],
        (None, Some(name)) => {
            vec![rule(activity, Some(Value::Boolean(false))), rule("subscribe", Some(name.into()))]
        }
    })
}

/// The topic with our variables. HiveMQ takes their names in any case.
fn topic(theirs: &str) -> Result<String, String> {
    let mut ours = String::new();
    let mut rest = theirs;
    while let Some((before, after)) = rest.split_once("${{") {
        let Some((name, behind)) = after.split_once("}}") else {
            return Err("left out: a variable is not closed by }}".to_owned());
        };
        let variable = match name.to_lowercase().as_str() {
            "clientid" => "${clientid}",
            "username" => "${username}",
            _ => return Err(format!("left out: the variable {name:?} is not known")),
        };
        if before.contains("${") || before.ends_with('§') {
            return Err("left out: ${ begins a variable here".to_owned());
        }
        ours.push_str(before);
        ours.push_str(variable);
        rest = behind;
    }
    if rest.contains("${") {
        return Err("left out: ${ begins a variable here".to_owned());
    }
    ours.push_str(rest);
    acl_rules::check_topic(&ours).map_err(|text| format!("left out: {text}"))?;
    Ok(ours)
}

const NAMES: &str = "clients whose client identifier or user name holds + or # may do nothing, as \
                     HiveMQ refuses them; a name with / gets no rule that it stands in";

#[cfg(test)]
mod tests;

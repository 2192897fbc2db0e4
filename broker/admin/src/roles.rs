//! `/api/v1/roles`: what roles permit. Those of the configuration and the built-in ones can be seen,
//! those made here changed as well.
//!
//! Knows nothing of files and logins.

use std::sync::Arc;

use axum::{http::StatusCode, response::IntoResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    administrators::{Administrator, Permissions},
    call::{Answer, Call, json},
    directory::{Directory, Kept, Origin, ROLES_MAX, check_name},
    problem::Problem,
    users::change,
};

/// All roles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleList {
    /// By name.
    roles: Vec<RoleEntry>,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleEntry {
    /// Name.
    name: String,
    /// What it permits.
    permissions: Vec<&'static str>,
    /// `built_in`, `configuration` ([admin.roles.NAME], where it is changed) or `made` (here).
    origin: &'static str,
}

impl RoleEntry {
    fn of(name: &str, origin: Origin, permissions: &Permissions) -> Self {
        let permissions = permissions.names().collect();
        Self { name: name.to_owned(), permissions, origin: origin.name() }
    }
}

/// A role to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    /// 1 to 64 letters, digits, `.`, `_`, `-` and `@`.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// Permissions and `field:NAME`, or `*` for all.
    #[schema(min_items = 1, max_items = 64)]
    permissions: Vec<String>,
}

/// What can be changed of a role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleChange {
    /// Permissions and `field:NAME`, or `*` for all.
    #[schema(min_items = 1, max_items = 64)]
    permissions: Vec<String>,
}

/// `GET /api/v1/roles`
pub(crate) async fn list(call: Call) -> Answer {
    let roles = call.shared.directory.roles();
    let roles = roles.iter().map(|(name, origin, may)| RoleEntry::of(name, *origin, may)).collect();
    call.json_answer(&RoleList { roles })
}

/// `GET /api/v1/roles/{role}`
pub(crate) async fn show(call: Call) -> Answer {
    let name = call.path("role")?;
    let (origin, may) = call.shared.directory.role(&name).ok_or_else(|| unknown(&name))?;
    call.json_answer(&RoleEntry::of(&name, origin, &may))
}

/// `POST /api/v1/roles`
pub(crate) async fn add(call: Call) -> Answer {
    let who = call.who()?;
    let (shared, NewRole { name, permissions }) = call.json::<NewRole>().await?;
    check_name("role", &name)?;
    let may = check_permissions(&permissions)?;
    let entry = RoleEntry::of(&name, Origin::Made, &may);
    change(&shared, move |directory, kept| {
        who.check_has(&may)?;
        if directory.role(&name).is_some() {
            return Err(Problem::conflict(format!("there is a role {name:?}")).about("name"));
        }
        if kept.roles.len() >= ROLES_MAX {
            let what = format!("{ROLES_MAX} roles were made");
            return Err(Problem::conflict(what).allowed(format!("at most {ROLES_MAX}")));
        }
        kept.roles.insert(name, permissions);
        Ok(())
    })
    .await?;
    json(StatusCode::OK, &entry)
}

/// `PUT /api/v1/roles/{role}`
pub(crate) async fn update(call: Call) -> Answer {
    let (who, name, expected) = (call.who()?, call.path("role")?, call.expected()?);
    let (shared, RoleChange { permissions }) = call.json::<RoleChange>().await?;
    let may = check_permissions(&permissions)?;
    let changed = name.clone();
    let entry = change(&shared, move |directory, kept| {
        let before = kept.clone();
        let old = made(directory, kept, &name)?;
        expected.check(&RoleEntry::of(&name, Origin::Made, &old))?;
        who.check_has(&old)?;
        who.check_has(&may)?;
        let entry = RoleEntry::of(&name, Origin::Made, &may);
        kept.roles.insert(name, permissions);
        directory.check_last((&before, kept), &who)?;
        Ok(entry)
    })
    .await?;
    shared.administrators.end_role(&changed);
    json(StatusCode::OK, &entry)
}

/// `DELETE /api/v1/roles/{role}`
pub(crate) async fn remove(call: Call) -> Answer {
    let (who, name, expected) = (call.who()?, call.path("role")?, call.expected()?);
    let (shared, removed) = (Arc::clone(&call.shared), name.clone());
    change(&shared, move |directory, kept| {
        let old = made(directory, kept, &name)?;
        expected.check(&RoleEntry::of(&name, Origin::Made, &old))?;
        check_unused(kept, (&who, &old), &name)?;
        kept.roles.remove(&name);
        Ok(())
    })
    .await?;
    shared.administrators.end_role(&removed);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn check_unused(
    kept: &Kept,
    (who, may): (&Administrator, &Permissions),
    name: &str,
) -> Result<(), Problem> {
    who.check_has(may)?;
    match kept.users.iter().find(|(_, user)| user.roles.iter().any(|role| role == name)) {
        Some((user, _)) => Err(Problem::conflict(format!("user {user:?} has the role {name:?}"))),
        None => Ok(()),
    }
}

/// What a role permits that was made here.
fn made(directory: &Directory, kept: &Kept, name: &str) -> Result<Permissions, Problem> {
    match directory.role(name) {
        Some((Origin::Made, may)) if kept.roles.contains_key(name) => Ok(may),
        Some((Origin::Configuration, _)) => {
            let what = format!("the role {name:?} is one of the configuration");
            Err(Problem::conflict(what).allowed(format!("a change of [admin.roles.{name}]")))
        }
        Some(_) => Err(Problem::conflict(format!("the role {name:?} is built in"))),
        None => Err(unknown(name)),
    }
}

fn check_permissions(permissions: &[String]) -> Result<Permissions, Problem> {
    if !(1..=64).contains(&permissions.len()) {
        let what = format!("{} permissions", permissions.len());
        return Err(Problem::invalid(what).about("permissions").allowed("1 to 64"));
    }
    Permissions::of(permissions).map_err(|what| Problem::invalid(what).about("permissions"))
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("there is no role {name:?}"))
}

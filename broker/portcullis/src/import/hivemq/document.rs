//! The document, held to the rules of the extension: what it refuses as a whole is an error here. An element that
//! it would not know is left behind with what it stands in, because it would have been meant to narrow something.

use std::collections::BTreeSet;

use roxmltree::Node;

use super::{ImportError, Note};

#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) users: Vec<User>,
    pub(super) roles: Vec<Role>,
    /// What is left behind for what it looks like.
    pub(super) lost: Vec<Note>,
}

#[derive(Debug)]
pub(super) struct User {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) password: String,
    pub(super) roles: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Role {
    pub(super) id: String,
    pub(super) permissions: Vec<Permission>,
}

#[derive(Debug)]
pub(super) struct Permission {
    pub(super) line: usize,
    pub(super) topic: String,
    /// As ours.
    pub(super) activity: &'static str,
    pub(super) qos: Option<&'static [i64]>,
    pub(super) retain: Option<bool>,
    pub(super) shared: Option<bool>,
    /// Only this one; none = any.
    pub(super) shared_group: Option<String>,
}

/// Reads a document. Definitions of types and entities are refused.
pub(super) fn read(text: &str) -> Result<Document, ImportError> {
    let tree = roxmltree::Document::parse(text)
        .map_err(|error| ImportError::line(error.pos().row as usize, format!("no XML: {error}")))?;
    let root = tree.root_element();
    let reader = Reader { tree: &tree };
    if root.tag_name().name() != "file-rbac" {
        return Err(reader.refuse(root, "the document is no <file-rbac>"));
    }
    let mut document = Document::default();
    for part in reader.children(root) {
        match part.tag_name().name() {
            "users" => {
                for user in reader.children(part) {
                    reader.keep(user, reader.user(user)?, &mut document.users, &mut document.lost);
                }
            }
            "roles" => {
                for role in reader.children(part) {
                    let read = reader.role(role, &mut document.lost)?;
                    reader.keep(role, read, &mut document.roles, &mut document.lost);
                }
            }
            other => return Err(reader.refuse(part, &format!("unknown element <{other}>"))),
        }
    }
    reader.check(root, &document)?;
    Ok(document)
}

struct Reader<'t, 'input> {
    tree: &'t roxmltree::Document<'input>,
}

/// What became of an element: read, or left behind for a reason.
type Read<T> = Result<T, String>;

impl<'t, 'input> Reader<'t, 'input> {
    fn children(
        &self,
        node: Node<'t, 'input>,
    ) -> impl Iterator<Item = Node<'t, 'input>> + use<'t, 'input> {
        node.children().filter(Node::is_element)
    }

    fn line(&self, node: Node<'_, '_>) -> usize {
        self.tree.text_pos_at(node.range().start).row as usize
    }

    fn refuse(&self, node: Node<'_, '_>, text: &str) -> ImportError {
        ImportError::line(self.line(node), text)
    }

    fn keep<T>(&self, node: Node<'_, '_>, read: Read<T>, list: &mut Vec<T>, lost: &mut Vec<Note>) {
        match read {
            Ok(read) => list.push(read),
            Err(text) => lost.push(Note::new(self.line(node), format!("left out: {text}"))),
        }
    }

    /// The text of a child. None = there is none; an error if there are several, or if it is more than text.
    fn text(&self, node: Node<'t, 'input>, name: &str) -> Read<Option<String>> {
        let mut found = self.children(node).filter(|child| child.tag_name().name() == name);
        let Some(child) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(format!("<{name}> stands there twice"));
        }
        if self.children(child).next().is_some() {
            return Err(format!("<{name}> holds more than text"));
        }
        let text: String =
            child.children().filter(Node::is_text).filter_map(|part| part.text()).collect();
        Ok(Some(text))
    }

    /// Only these elements are known in there.
    fn expect(&self, node: Node<'t, 'input>, names: &[&str]) -> Read<()> {
        let unknown =
            self.children(node).map(|child| child.tag_name().name()).find(|n| !names.contains(n));
        match unknown {
            Some(name) => Err(format!("unknown element <{name}>")),
            None => Ok(()),
        }
    }

    fn user(&self, node: Node<'t, 'input>) -> Result<Read<User>, ImportError> {
        let read = || -> Read<User> {
            if node.tag_name().name() != "user" {
                return Err(format!("unknown element <{}>", node.tag_name().name()));
            }
            self.expect(node, &["name", "password", "roles"])?;
            let mut roles = Vec::new();
            for list in self.children(node).filter(|child| child.tag_name().name() == "roles") {
                self.expect(list, &["id"])?;
                for id in self.children(list) {
                    roles.push(id.text().unwrap_or_default().to_owned());
                }
            }
            Ok(User {
                line: self.line(node),
                name: self.text(node, "name")?.unwrap_or_default(),
                password: self.text(node, "password")?.unwrap_or_default(),
                roles,
            })
        };
        let read = read();
        if let Ok(user) = &read {
            let missing = if user.name.is_empty() {
                Some("name")
            } else if user.password.is_empty() {
                Some("password")
            } else if user.roles.is_empty() || user.roles.iter().any(String::is_empty) {
                Some("role")
            } else {
                None
            };
            if let Some(what) = missing {
                let text = format!("a user without a {what}; HiveMQ refuses the file");
                return Err(self.refuse(node, &text));
            }
        }
        Ok(read)
    }

    fn role(
        &self,
        node: Node<'t, 'input>,
        lost: &mut Vec<Note>,
    ) -> Result<Read<Role>, ImportError> {
        if node.tag_name().name() != "role" {
            return Ok(Err(format!("unknown element <{}>", node.tag_name().name())));
        }
        let id =
            match self.expect(node, &["id", "permissions"]).and_then(|()| self.text(node, "id")) {
                Ok(id) => id.unwrap_or_default(),
                Err(text) => return Ok(Err(text)),
            };
        if id.is_empty() {
            return Err(self.refuse(node, "a role without an id; HiveMQ refuses the file"));
        }
        let mut permissions = Vec::new();
        for list in self.children(node).filter(|child| child.tag_name().name() == "permissions") {
            for permission in self.children(list) {
                let read = self.permission(permission);
                self.keep(permission, read, &mut permissions, lost);
            }
        }
        Ok(Ok(Role { id, permissions }))
    }

    fn permission(&self, node: Node<'t, 'input>) -> Read<Permission> {
        if node.tag_name().name() != "permission" {
            return Err(format!("unknown element <{}>", node.tag_name().name()));
        }
        let names = ["topic", "activity", "qos", "retain", "shared-subscription", "shared-group"];
        self.expect(node, &names)?;
        let word = |name: &str| -> Read<String> {
            let text = self.text(node, name)?.map(|text| text.trim().to_owned());
            Ok(text.filter(|text| !text.is_empty()).unwrap_or_else(|| "ALL".to_owned()))
        };
        let unknown = |name: &str, word: &str| Err(format!("{name} is {word:?}"));
        Ok(Permission {
            line: self.line(node),
            topic: self.text(node, "topic")?.filter(|t| !t.is_empty()).ok_or("without a topic")?,
            activity: match word("activity")?.as_str() {
                "PUBLISH" => "publish",
                "SUBSCRIBE" => "subscribe",
                "ALL" => "all",
                other => return unknown("activity", other),
            },
            qos: match word("qos")?.as_str() {
                "ZERO" => Some(&[0]),
                "ONE" => Some(&[1]),
                "TWO" => Some(&[2]),
                "ZERO_ONE" => Some(&[0, 1]),
                "ONE_TWO" => Some(&[1, 2]),
                "ZERO_TWO" => Some(&[0, 2]),
                "ALL" => None,
                other => return unknown("qos", other),
            },
            retain: match word("retain")?.as_str() {
                "RETAINED" => Some(true),
                "NOT_RETAINED" => Some(false),
                "ALL" => None,
                other => return unknown("retain", other),
            },
            shared: match word("shared-subscription")?.as_str() {
                "SHARED" => Some(true),
                "NOT_SHARED" => Some(false),
                "ALL" => None,
                other => return unknown("shared-subscription", other),
            },
            shared_group: self
                .text(node, "shared-group")?
                .filter(|group| !group.is_empty() && group != "#"),
        })
    }

    /// What the extension refuses, it has never let anybody in with.
    fn check(&self, root: Node<'_, '_>, document: &Document) -> Result<(), ImportError> {
        let mut ids = BTreeSet::new();
        for role in &document.roles {
            if !ids.insert(role.id.as_str()) {
                let text = format!("the role {:?} stands there twice", role.id);
                return Err(self.refuse(root, &format!("{text}; HiveMQ refuses the file")));
            }
        }
        let mut names = BTreeSet::new();
        for user in &document.users {
            if !names.insert(user.name.as_str()) {
                let text = format!("the user {:?} stands there twice", user.name);
                return Err(ImportError::line(
                    user.line,
                    format!("{text}; HiveMQ refuses the file"),
                ));
            }
            // A role that was left behind gives nothing; one that never was is a mistake.
            let unknown = user.roles.iter().find(|role| !ids.contains(role.as_str()));
            if let Some(role) = unknown.filter(|_| document.lost.is_empty()) {
                let text =
                    format!("the user has the unknown role {role:?}; HiveMQ refuses the file");
                return Err(ImportError::line(user.line, text));
            }
        }
        Ok(())
    }
}

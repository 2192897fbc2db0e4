//! Search filters of the configuration, with `{user}` and `{dn}` in them. What stands for these goes to
//! the host as a value and never becomes part of a filter here.

/// What a filter may have in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `{user}`
    User,
    /// `{dn}`
    Dn,
}

/// A filter as the host wants it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// With `{}` for each value.
    text: String,
    places: Vec<Place>,
}

impl Filter {
    /// Reads the filter of a key that may have these places and must have one of them: a filter that
    /// does not look at who it is about finds the same for everybody.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn parse(key: &str, written: &str, allowed: &[Place]) -> Result<Self, String> {
        let mut text = String::new();
        let mut places = Vec::new();
        let mut rest = written;
        while let Some((before, from)) = rest.split_once('{') {
            let Some((name, behind)) = from.split_once('}') else {
                return Err(format!("{key}: a {{ without }}; a brace itself is written \\7b"));
            };
            let place = allowed.iter().find(|place| place.name() == name);
            let Some(place) = place else {
                let names: Vec<_> = allowed.iter().map(|it| format!("{{{}}}", it.name())).collect();
                let names = names.join(" and ");
                return Err(format!("{key}: {{{name}}} stands for nothing; allowed: {names}"));
            };
            places.push(*place);
            text.push_str(before);
            text.push_str("{}");
            rest = behind;
        }
        if places.is_empty() {
            let names: Vec<_> = allowed.iter().map(|it| format!("{{{}}}", it.name())).collect();
            return Err(format!("{key}: has no {}", names.join(" or ")));
        }
        text.push_str(rest);
        Ok(Self { text, places })
    }

    /// The filter with `{}` in it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What stands for each `{}`.
    pub(crate) fn values<'a>(&self, user: &'a str, dn: &'a str) -> Vec<&'a str> {
        let value = |place: &Place| match place {
            Place::User => user,
            Place::Dn => dn,
        };
        self.places.iter().map(value).collect()
    }
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Dn => "dn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place::*, *};

    #[test]
    fn places_become_values() {
        let filter = Filter::parse("filter", "(|(uid={user})(mail={user}))", &[User]).unwrap();
        assert_eq!(filter.text(), "(|(uid={})(mail={}))");
        assert_eq!(filter.values("*)(uid=*", "x"), ["*)(uid=*", "*)(uid=*"]);
        let filter = Filter::parse("f", "(|(member={dn})(memberUid={user}))", &[User, Dn]).unwrap();
        assert_eq!(filter.values("{dn}", "cn=a"), ["cn=a", "{dn}"]);
    }

    #[test]
    fn filters_that_are_refused() {
        for (text, why) in [
            ("(uid=alice)", "filter: has no {user}"),
            ("(uid={})", "{} stands for nothing; allowed: {user}"),
            ("(uid={dn})", "{dn} stands for nothing"),
            ("(uid={username})", "{username} stands for nothing"),
            ("(uid={user)", "{ without }"),
            ("(a={SSHA}{user})", "{SSHA} stands for nothing"),
        ] {
            let error = Filter::parse("filter", text, &[User]).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

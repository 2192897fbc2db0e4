//! What is accepted as a plugin, and the sentences for what is not.

use super::*;
use crate::tests::guest;

#[track_caller]
fn refuses(wasm: &[u8], expected: &str) {
    let error = prepare(wasm).unwrap_err();
    assert!(error.contains(expected), "{error}\n  wanted {expected}");
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn a_component_tells_hooks_and_imports() {
    let wasm = guest::Guest::allow().component();
    let prepared = prepare(&wasm).unwrap();
    assert_eq!(prepared.hooks, ["authenticator"]);
    assert!(matches!(prepared.bytes, Cow::Borrowed(_)));
}

#[test]
fn a_core_module_is_componentized() {
    let module = guest::Guest::allow().module();
    let prepared = prepare(&module).unwrap();
    assert_eq!(prepared.hooks, ["authenticator"]);
    assert!(Parser::is_component(&prepared.bytes));
}

#[test]
fn garbage_and_truncation_are_refused() {
    refuses(b"", "neither");
    refuses(b"hello", "neither");
    let wasm = guest::Guest::allow().component();
    for length in [8, 100, wasm.len() / 2, wasm.len() - 1] {
        assert!(prepare(&wasm[..length]).is_err(), "cut at {length}");
    }
    refuses(&component("(module)"), "does not export portcullis:plugin/plugin");
    let strange = r#"(module (import "env" "f" (func)))"#;
    refuses(&component(strange), "core module that cannot be made");
}

#[test]
fn other_worlds_are_refused_by_name() {
    refuses(&component("(component)"), "does not export portcullis:plugin/plugin");
    refuses(
        &component(r#"(component (import "wasi:http/types@0.2.10" (instance)))"#),
        "imports wasi:http/types@0.2.10: plugins make HTTP requests by \
         portcullis:plugin/http-client",
    );
    refuses(
        &component(r#"(component (import "wasi:keyvalue/store@0.2.0" (instance)))"#),
        "of WASI this host links cli, clocks, filesystem, io, random and sockets in version 0.2",
    );
    refuses(
        &component(r#"(component (import "wasi:cli/stdout@0.3.0" (instance)))"#),
        "of WASI this host links",
    );
    refuses(
        &component(r#"(component (import "wasi:cli/stdout@0.2.9" (instance)))"#),
        "does not export portcullis:plugin/plugin",
    );
    refuses(
        &component(r#"(component (import "acme:thing/api" (instance)))"#),
        "imports acme:thing/api, which this host does not have",
    );
    refuses(
        &component(r#"(component (import "portcullis:plugin/mystery@0.1.0" (instance)))"#),
        "imports portcullis:plugin/mystery, which this host does not have",
    );
    refuses(
        &component(r#"(component (import "portcullis:plugin/log@0.2.0" (instance)))"#),
        "wants portcullis:plugin@0.2.0, host has 0.1.0",
    );
}

#[test]
fn imports_of_inner_components_do_not_count() {
    refuses(
        &component(r#"(component (component (import "acme:thing/api" (instance))))"#),
        "does not export portcullis:plugin/plugin",
    );
}

#[test]
fn a_plugin_without_a_hook_is_refused() {
    refuses(
        &component(
            r#"(component (instance $i) (export "portcullis:plugin/plugin@0.1.0" (instance $i)))"#,
        ),
        "exports no hook that this host knows (authenticator, enhanced-authenticator, authorizer, \
         operation-authorizer, inbound-transform, outbound-transform, events, timer, \
         admin-authenticator)",
    );
}

#[test]
fn a_hook_that_this_host_does_not_know_is_refused_by_name() {
    let with = |extra: &str| {
        component(&format!(
            r#"(component (instance $i)
                (export "portcullis:plugin/plugin@0.1.0" (instance $i))
                (export "portcullis:plugin/authenticator@0.1.0" (instance $i))
                {extra})"#
        ))
    };
    let unknown = r#"(export "portcullis:plugin/crystal-ball@0.1.0" (instance $i))"#;
    refuses(
        &with(unknown),
        "exports portcullis:plugin/crystal-ball@0.1.0, a hook that this host does not know",
    );
    refuses(
        &with(r#"(export "portcullis:bridge/transformer@0.1.0" (instance $i))"#),
        "exports portcullis:bridge/transformer@0.1.0, a hook that this host does not know",
    );
    for tolerated in [
        r#"(export "portcullis:plugin/types@0.1.0" (instance $i))"#,
        r#"(export "acme:leftover/init@1.0.0" (instance $i))"#,
        r#"(core module $m (func (export "f"))) (core instance $c (instantiate $m))
           (func $f (canon lift (core func $c "f"))) (export "init" (func $f))"#,
    ] {
        assert_eq!(prepare(&with(tolerated)).unwrap().hooks, ["authenticator"], "{tolerated}");
    }
}

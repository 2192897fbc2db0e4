//! An open broker for measuring the server alone: everybody may do everything.
use access::*;
use std::{collections::HashMap, sync::Arc, time::Duration};
struct Open;
impl Authenticator for Open {
    fn authenticate<'a>(
        &'a self,
        c: &'a Connection,
        _: &'a Credentials,
    ) -> BoxFuture<'a, Result<Outcome, PluginFailure>> {
        Box::pin(async move {
            Ok(Outcome::Allow(Grant {
                principal: Some(c.client_id.to_string()),
                ..Grant::default()
            }))
        })
    }
}
impl Authorizer for Open {
    fn permissions<'a>(&'a self, _: &'a Subject) -> BoxFuture<'a, Result<Answer, PluginFailure>> {
        Box::pin(async move {
            let rule = Rule {
                effect: Effect::Allow,
                activity: Activity { publish: true, subscribe: true },
                filter: "#".into(),
                qos: QoSSet::ALL,
                retain: Condition::Any,
                shared: Condition::Any,
                share_name: None,
            };
            Ok(Answer::Permissions(PermissionSet { rules: vec![rule], ttl_seconds: None }))
        })
    }
}
#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        let gate = Arc::new(Gate::new(|| Duration::ZERO));
        let open = Arc::new(Open);
        gate.swap(
            Chain {
                links: vec![Link {
                    name: "open".into(),
                    generation: "0".into(),
                    control: Control::Sufficient,
                    on_error: OnError::Deny,
                    state: LinkState::Live {
                        authenticator: Some(open.clone()),
                        authorizer: Some(open),
                    },
                }],
            },
            HashMap::new(),
        );
        let port = std::env::args().nth(1).unwrap_or("27183".into());
        let mut live = server::LiveConfig::default();
        live.limits.connection_rate.connections = 16000;
        live.limits.sizes.subscriptions_per_client = 20000;
        live.limits.sizes.wildcard_subscriptions_per_client = 20000;
        let config = server::Config {
            listeners: vec![server::ListenerConfig {
                name: "t".into(),
                bind: format!("127.0.0.1:{port}").parse().unwrap(),
            }],
            live,
        };
        let _b = server::Broker::start(config, gate, telemetry::Metrics::new()).await.unwrap();
        println!("ready");
        std::future::pending::<()>().await;
    });
}

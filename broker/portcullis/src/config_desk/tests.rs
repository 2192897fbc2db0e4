//! What the API may have judged, and what comes of a replacement.

use super::*;

const TEXT: &str = "data_dir = \"data\"\n[[listeners]]\nname = \"mqtt\"\nbind = \"127.0.0.1:0\"\n";

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("desk-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("p.toml"), TEXT).unwrap();
        Self(folder)
    }

    fn desk(&self) -> (Desk, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let desk = Desk {
            file: self.0.join("p.toml"),
            is_editable: true,
            requests,
            writing: tokio::sync::Mutex::default(),
            needs_restart: Mutex::default(),
        };
        (desk, asked)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A reader of the configuration must neither learn which files there are nor have one read that never ends.
#[test]
fn nothing_is_read_for_a_text_that_is_only_judged() {
    let place = Place::new("judged");
    let (desk, _asked) = place.desk();
    assert_eq!(desk.check(TEXT), []);
    let otlp = |ca: &str| format!("{TEXT}[otlp]\nendpoint = \"http://127.0.0.1:1\"\nca = {ca}\n");
    let keys = |list: &str| format!("{TEXT}[plugins]\ntrusted_keys = {list}\n");
    for (text, key) in [
        (otlp("\"/dev/urandom\""), "otlp.ca"),
        (otlp("\"nowhere.pem\""), "otlp.ca"),
        (otlp("'/etc/passwd'"), "otlp.ca"),
        (keys("[\"/dev/urandom\"]"), "plugins.trusted_keys"),
        (keys("[\"p.toml\"]"), "plugins.trusted_keys"),
        (format!("{TEXT}[plugins]\n\"trusted_keys\" = ['nowhere']\n"), "plugins.trusted_keys"),
        (format!("{TEXT}[secrets.a]\nvalue = \"file:p.toml\"\n"), "secrets.a.value"),
    ] {
        let faults = desk.check(&text);
        let [fault] = faults.as_slice() else { panic!("{text}: {faults:?}") };
        assert_eq!(fault.key, key, "{fault:?}");
        assert!(fault.what.starts_with("refers to a file"), "{fault:?}");
    }
    // What stands in the file already is read: that is how it is judged.
    fs::write(place.0.join("p.toml"), otlp("\"/dev/urandom\"")).unwrap();
    let faults = desk.check(&otlp("\"/dev/urandom\""));
    assert!(faults.iter().any(|fault| fault.what.contains("no regular file")), "{faults:?}");
}

#[tokio::test]
async fn a_replacement_says_which_version_it_made() {
    let place = Place::new("version");
    let (desk, mut asked) = place.desk();
    let answering = tokio::spawn(async move {
        while let Some(reply) = asked.recv().await {
            reply.send(Ok(Vec::new())).unwrap();
        }
    });
    let first = desk.show().unwrap().version;
    let second = format!("{TEXT}[limits]\nqueue_messages = 7\n");
    let applied = desk.replace(second.clone(), first.clone()).await.unwrap();
    assert_eq!(applied.version, desk.show().unwrap().version);
    assert_ne!(applied.version, first);
    assert_eq!(desk.replace(TEXT.to_owned(), first).await, Err(ConfigRefused::Changed));
    let again = desk.replace(TEXT.to_owned(), applied.version).await.unwrap();
    assert_eq!(desk.reload().await.unwrap().version, again.version);
    drop(desk);
    answering.await.unwrap();
}

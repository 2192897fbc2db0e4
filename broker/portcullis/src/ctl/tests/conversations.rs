//! A broker that is a list of answers: what is asked, in which order, and what becomes of what it says.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use super::*;

/// Answers one request after the other; returns the first lines and the bodies of the requests.
struct Fake {
    url: String,
    serving: JoinHandle<Vec<(String, String)>>,
}

impl Fake {
    fn new(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let answer = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let asked = read(&mut stream);
                stream.write_all(answer.as_bytes()).unwrap();
                asked
            };
            answers.into_iter().map(answer).collect()
        });
        Self { url, serving }
    }

    /// Runs a command line; how it ended, and what was asked.
    fn run(self, line: &str) -> (Result<(), Failure>, Vec<(String, String)>) {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("admin.token");
        std::fs::write(&token, "t0ken").unwrap();
        let line = format!("{line} --url {} --token-file {}", self.url, token.display());
        let invocation = invocation(&line).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(run(invocation));
        drop(runtime);
        (result, self.serving.join().unwrap())
    }
}

fn read(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_lowercase();
            assert!(lower.contains("authorization: bearer t0ken"), "{head}");
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return (head.lines().next().unwrap().to_owned(), body.to_owned());
            }
        }
        let count = stream.read(&mut piece).unwrap();
        assert!(count > 0, "{text}");
        bytes.extend_from_slice(&piece[..count]);
    }
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn page(ids: &[&str], next: Option<&str>) -> String {
    let clients: Vec<_> = ids.iter().map(|id| serde_json::json!({ "client_id": id })).collect();
    answer("200 OK", &serde_json::json!({ "clients": clients, "next": next }).to_string())
}

fn lines(asked: &[(String, String)]) -> Vec<&str> {
    asked.iter().map(|(line, _)| line.as_str()).collect()
}

#[test]
fn pages_are_followed_to_the_end() {
    let pages = vec![page(&["a", "b"], Some("b/ü")), page(&["c"], Some("c")), page(&[], None)];
    let (result, asked) = Fake::new(pages).run("clients list --all");
    result.unwrap();
    let expect = [
        "GET /api/v1/clients?limit=1000 HTTP/1.1",
        "GET /api/v1/clients?limit=1000&after=b%2F%C3%BC HTTP/1.1",
        "GET /api/v1/clients?limit=1000&after=c HTTP/1.1",
    ];
    assert_eq!(lines(&asked), expect);
}

#[test]
fn no_more_rows_are_asked_for_than_wanted() {
    let pages = vec![page(&["a", "b"], Some("b")), page(&["c"], Some("c"))];
    let (result, asked) = Fake::new(pages).run("clients list --limit 3");
    result.unwrap();
    let expect =
        ["GET /api/v1/clients?limit=3 HTTP/1.1", "GET /api/v1/clients?limit=1&after=b HTTP/1.1"];
    assert_eq!(lines(&asked), expect);
    let (result, asked) = Fake::new(vec![page(&["a"], Some("a"))]).run("clients list");
    result.unwrap();
    assert_eq!(lines(&asked), ["GET /api/v1/clients HTTP/1.1"]);
}

/// A list that goes round in circles is not followed for ever.
#[test]
fn a_page_that_comes_again_is_an_error() {
    let pages = vec![page(&["a"], Some("a")), page(&["a"], Some("a"))];
    let (result, _) = Fake::new(pages).run("clients list --all");
    assert!(result.unwrap_err().to_string().contains("next page"));
}

#[test]
fn problems_are_failures_with_exit_code_1() {
    let problem = r#"{"detail":"there is no client \"x\"","parameter":"client_id"}"#;
    let fake = Fake::new(vec![answer("404 Not Found", problem)]);
    let (result, _) = fake.run("clients show x");
    let failure = result.unwrap_err();
    let expect = "404 Not Found: there is no client \"x\" (parameter client_id)";
    assert_eq!(failure.to_string(), expect);
    assert!(matches!(failure, Failure::Refused(_)));
}

#[test]
fn nobody_there_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("t");
    std::fs::write(&token, "t").unwrap();
    let line = format!("status --url {url} --token-file {}", token.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(run(invocation(&line).unwrap())).unwrap_err().to_string();
    assert!(failure.contains("is the broker running? --url or PORTCULLIS_URL"), "{failure}");
}

#[test]
fn bodies_are_sent_as_json_and_any_request_can_be() {
    let done = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned();
    let (result, asked) = Fake::new(vec![done]).run("permissions invalidate --client a");
    result.unwrap();
    assert_eq!(asked[0].1, r#"{"client_id":"a"}"#);
    let fake = Fake::new(vec![answer("200 OK", "{}")]);
    let (result, asked) = fake.run("api POST /api/v1/x?y=1 --data {}");
    result.unwrap();
    assert_eq!(asked, [("POST /api/v1/x?y=1 HTTP/1.1".to_owned(), "{}".to_owned())]);
}

/// Half an answer is not taken for a whole one.
#[test]
fn an_answer_that_breaks_off_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("recording");
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\"".to_owned();
    let (result, _) =
        Fake::new(vec![cut]).run(&format!("decisions recording d1 --out {}", out.display()));
    assert!(result.unwrap_err().to_string().contains("broke off"));
    assert!(!out.exists(), "half of it stays");
}

#[test]
fn bytes_go_to_a_new_file_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("recording");
    let line = format!("decisions recording d1 --out {}", out.display());
    let (result, _) = Fake::new(vec![answer("200 OK", "{\"calls\":[]}")]).run(&line);
    result.unwrap();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "{\"calls\":[]}");
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    // A second time it is there, and stays as it is.
    let (result, _) = Fake::new(vec![answer("200 OK", "other")]).run(&line);
    assert!(result.is_err());
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "{\"calls\":[]}");
}

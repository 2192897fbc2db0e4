//! The generator beside a broker that makes mistakes: each must be noticed.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use super::*;
use crate::wire;

/// What the broker does to the hundredth message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    Loses,
    Repeats,
    /// The message after it comes first.
    Overtakes,
    DamagesPayload,
    ChangesTopic,
    /// It goes to the subscriber of another topic.
    Misroutes,
    Retains,
    ClosesSubscriber,
}

/// A broker of exact topics, a thread for each connection.
struct Broker {
    mistake: Mistake,
    subscribers: Mutex<HashMap<Vec<u8>, TcpStream>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    published: u64,
    held: Option<Vec<u8>>,
}

const THE_ONE: u64 = 100;

impl Broker {
    fn serve(mistake: Mistake) -> Target {
        let broker =
            Arc::new(Self { mistake, subscribers: Mutex::default(), state: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (broker, stream) = (Arc::clone(&broker), stream.unwrap());
                thread::spawn(move || broker.connection(stream));
            }
        });
        Target::of(port, process::id()).unwrap()
    }

    fn connection(&self, mut stream: TcpStream) {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 65_536]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            bytes.extend_from_slice(&buffer[..read]);
            let mut done = 0;
            while let Some((packet, length)) = wire::decode(&bytes[done..], false).unwrap() {
                let whole = &bytes[done..done + length];
                match packet {
                    wire::Packet::Publish(publish) => self.publish(&stream, whole, publish),
                    wire::Packet::Other(0x10) => stream.write_all(&[0x20, 2, 0, 0]).unwrap(),
                    wire::Packet::Other(0x82) => self.subscribe(&stream, &whole[2..]),
                    _ => {}
                }
                done += length;
            }
            bytes.drain(..done);
        }
    }

    /// One topic filter, as the pairs of the test have.
    fn subscribe(&self, mut stream: &TcpStream, body: &[u8]) {
        let topic = body[4..body.len() - 1].to_vec();
        self.subscribers.lock().unwrap().insert(topic, stream.try_clone().unwrap());
        stream.write_all(&[0x90, 3, body[0], body[1], body[body.len() - 1]]).unwrap();
    }

    fn publish(&self, mut publisher: &TcpStream, whole: &[u8], publish: wire::Publish<'_>) {
        let mut state = self.state.lock().unwrap();
        state.published += 1;
        let the_one = state.published == THE_ONE;
        let (mut packet, mut topic) = (whole.to_vec(), publish.topic.to_vec());
        if publish.qos == 1 {
            let mut answer = Vec::new();
            wire::acknowledge(&mut answer, wire::PUBACK, publish.packet_id);
            publisher.write_all(&answer).unwrap();
        }
        if state.held.is_some() && self.topic_of(&state.held) == topic {
            packet.extend(state.held.take().unwrap());
        }
        if the_one {
            let last = packet.len() - 1;
            match self.mistake {
                Mistake::None => {}
                Mistake::Loses => return,
                Mistake::Repeats => packet.extend_from_slice(whole),
                Mistake::Overtakes => {
                    state.held = Some(packet);
                    return;
                }
                Mistake::DamagesPayload => packet[last] ^= 1,
                Mistake::ChangesTopic => packet[6] ^= 1,
                Mistake::Misroutes => {
                    let subscribers = self.subscribers.lock().unwrap();
                    topic = subscribers.keys().find(|other| **other != topic).unwrap().clone();
                }
                Mistake::Retains => packet[0] |= 1,
                Mistake::ClosesSubscriber => {
                    let subscribers = self.subscribers.lock().unwrap();
                    subscribers[&topic].shutdown(std::net::Shutdown::Both).unwrap();
                    return;
                }
            }
        }
        let subscribers = self.subscribers.lock().unwrap();
        // The generator may have closed it in the end.
        let _ = (&subscribers[&topic]).write_all(&packet);
    }

    fn topic_of(&self, packet: &Option<Vec<u8>>) -> Vec<u8> {
        match wire::decode(packet.as_ref().unwrap(), false) {
            Ok(Some((wire::Packet::Publish(publish), _))) => publish.topic.to_vec(),
            other => panic!("{other:?}"),
        }
    }
}

fn run(mistake: Mistake, qos: u8) -> Result<Outcome> {
    let messages = Messages {
        publishers: 2,
        subscribers: 2,
        qos,
        rate: Some(2_000),
        time: Duration::from_millis(400),
        ..Messages::PAIRS
    };
    messages.run(&mut Session::new(Broker::serve(mistake), Approach::default())?)
}

#[track_caller]
fn check(mistake: Mistake, expected: &[&str]) {
    for qos in [0, 1] {
        let faults = run(mistake, qos).unwrap().faults;
        // A run this short may be late on a busy machine.
        let faults: Vec<_> = faults.iter().filter(|fault| !fault.starts_with("only ")).collect();
        assert_eq!(faults, expected, "{mistake:?}, QoS {qos}");
    }
}

#[test]
fn a_broker_without_mistakes_has_no_faults_and_all_figures() {
    check(Mistake::None, &[]);
    let figures = run(Mistake::None, 0).unwrap().figures;
    for figure in ["cpu_us_per_message", "messages_per_second", "p50_us", "p99_us", "p999_us"] {
        assert!(figures.get(figure).is_some_and(|value| *value > 0.0), "{figure}: {figures:?}");
    }
}

#[test]
fn loss_is_noticed() {
    check(Mistake::Loses, &["1 deliveries never came"]);
}

#[test]
fn repetition_is_noticed() {
    check(Mistake::Repeats, &["1 deliveries came again"]);
}

#[test]
fn another_order_is_noticed() {
    let expected = "1 deliveries were overtaken by later ones of their publisher";
    check(Mistake::Overtakes, &[expected]);
}

const DAMAGED: [&str; 2] =
    ["1 deliveries differ from what was published", "1 deliveries never came"];

#[test]
fn a_damaged_payload_is_noticed() {
    check(Mistake::DamagesPayload, &DAMAGED);
}

#[test]
fn another_topic_is_noticed() {
    check(Mistake::ChangesTopic, &DAMAGED);
}

#[test]
fn another_flag_is_noticed() {
    check(Mistake::Retains, &DAMAGED);
}

#[test]
fn a_wrong_subscriber_is_noticed() {
    let misrouted = "1 deliveries came to somebody who did not subscribe to them";
    check(Mistake::Misroutes, &[misrouted, "1 deliveries never came"]);
}

#[test]
fn a_connection_that_ends_is_an_error() {
    let error = run(Mistake::ClosesSubscriber, 0).unwrap_err().to_string();
    assert!(error.contains("a connection ended"), "{error}");
}

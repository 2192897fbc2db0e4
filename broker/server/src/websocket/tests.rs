use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

fn pair(early: &[u8], room: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (server, client) = duplex(room);
    (WebSocket::new(server, early.to_vec(), 1_000_000), client)
}

/// A frame of a client whose mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

#[tokio::test]
async fn what_came_with_the_handshake_is_read_first() {
    let early = [frame(BINARY, b"early"), frame(BINARY, b"bird")[..3].to_vec()].concat();
    let (mut server, mut client) = pair(&early, 1_000);
    client.write_all(&frame(BINARY, b"bird")[3..]).await.unwrap();
    let mut read = [0; 9];
    server.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"earlybird");
}

#[tokio::test]
async fn pings_are_answered_and_a_close_too() {
    let (mut server, mut client) = pair(b"", 1_000);
    client.write_all(&frame(PING, b"are you there")).await.unwrap();
    client.write_all(&frame(BINARY, b"x")).await.unwrap();
    client.write_all(&frame(CLOSE, &[3, 233, b'b', b'y', b'e'])).await.unwrap();
    let mut read = Vec::new();
    server.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"x");
    assert!(!server.is_open());
    let nothing = server.write(b"y").await.unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::BrokenPipe);
    server.shutdown().await.unwrap();
    drop(server);
    let mut answers = Vec::new();
    client.read_to_end(&mut answers).await.unwrap();
    assert_eq!(answers, [&[0x8A, 13][..], b"are you there", &[0x88, 2, 3, 233]].concat());
}

/// Through a narrow pipe, with pings between: every frame is whole.
#[tokio::test]
async fn payload_is_written_in_whole_frames() {
    let payload: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut server, mut client) = pair(b"", 100);
    let (sent, pings) = (payload.clone(), frame(PING, b"p"));
    let writing = async move {
        client.write_all(&pings).await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        received
    };
    let (received, ()) = tokio::join!(writing, async {
        let mut nothing = [0; 1];
        let idle = poll_once(&mut server, &mut nothing).await;
        assert!(idle, "a ping is no payload");
        server.write_all(&sent).await.unwrap();
        server.shutdown().await.unwrap();
        drop(server);
    });
    let (mut rest, mut found, mut pongs, mut closes) = (&received[..], Vec::new(), 0, 0);
    while let [first, length, after @ ..] = rest {
        let (length, after) = match (length, after) {
            (127, after) => {
                let (length, after) = after.split_first_chunk::<8>().unwrap();
                (u64::from_be_bytes(*length) as usize, after)
            }
            (126, after) => {
                let (length, after) = after.split_first_chunk::<2>().unwrap();
                (u16::from_be_bytes(*length) as usize, after)
            }
            (short, after) => (*short as usize, after),
        };
        let (body, after) = after.split_at(length);
        match first {
            0x82 => found.extend_from_slice(body),
            0x8A => pongs += 1,
            0x88 => closes += 1,
            other => panic!("{other:#x}"),
        }
        rest = after;
    }
    assert!(found == payload, "{} bytes", found.len());
    assert_eq!((pongs, closes), (1, 1));
}

/// Whether reading is pending.
async fn poll_once(server: &mut WebSocket<DuplexStream>, room: &mut [u8]) -> bool {
    let mut buffer = ReadBuf::new(room);
    std::future::poll_fn(|cx| {
        Poll::Ready(Pin::new(&mut *server).poll_read(cx, &mut buffer).is_pending())
    })
    .await
}

#[tokio::test]
async fn a_broken_rule_is_an_error_behind_what_was_good() {
    let (mut server, mut client) = pair(b"", 1_000);
    client.write_all(&[frame(BINARY, b"good"), frame(0x81, b"text")].concat()).await.unwrap();
    let mut read = Vec::new();
    let error = server.read_to_end(&mut read).await.unwrap_err();
    assert_eq!(read, b"good");
    assert_eq!(violation(&error), Some(Violation::Text));
    assert_eq!(violation(&io::ErrorKind::InvalidData.into()), None);
    server.shutdown().await.unwrap();
    // Whatever comes now is only taken off the network.
    client.write_all(&frame(BINARY, b"ignored")).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x88, 2, 0x03, 0xEB]);
}

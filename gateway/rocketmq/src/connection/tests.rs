use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::*;
use crate::{Client, NameServers, RouteError, wire::code::answer};

/// What the scripted server does with a request.
enum Act {
    Answer(Command),
    Nothing,
    Bytes(&'static [u8]),
    Close,
}

/// A server that does with each request, in the order they come, what `script` says; later ones get what the last got.
async fn server(script: impl Fn(usize, Command) -> Vec<Act> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, Arc::clone(&script)));
        }
    });
    address
}

async fn serve(mut stream: TcpStream, script: Arc<impl Fn(usize, Command) -> Vec<Act>>) {
    let mut bytes = BytesMut::new();
    let mut count = 0;
    loop {
        while let Some(command) = Command::decode_from(&mut bytes).unwrap() {
            for act in script(count, command) {
                let mut out = BytesMut::new();
                match act {
                    Act::Answer(answer) => answer.encode_into(&mut out).unwrap(),
                    Act::Bytes(raw) => out.extend_from_slice(raw),
                    Act::Nothing => continue,
                    Act::Close => return,
                }
                stream.write_all(&out).await.unwrap();
            }
            count += 1;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

fn quick() -> Options {
    Options { timeout: Duration::from_millis(300), ..Options::default() }
}

async fn connect(address: SocketAddr) -> Connection {
    Connection::connect(&address.to_string(), &quick(), None).await.unwrap()
}

const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn answers_find_their_requests_in_whatever_order_they_come() {
    let held = Mutex::new(None);
    let address = server(move |_, command| {
        // The first answer waits for the second request, and follows its answer.
        let mut held = held.lock().unwrap();
        let answer = command.answer(0).with("code", command.code);
        match held.take() {
            None => {
                *held = Some(answer);
                vec![Act::Nothing]
            }
            Some(first) => vec![Act::Answer(answer), Act::Answer(first)],
        }
    })
    .await;
    let connection = connect(address).await;
    let (first, second) = tokio::join!(
        connection.request(Command::request(1), LONG),
        connection.request(Command::request(2), LONG)
    );
    assert_eq!(first.unwrap().field("code"), Some("1"));
    assert_eq!(second.unwrap().field("code"), Some("2"));
}

#[tokio::test]
async fn a_silent_server_ends_the_connection_and_a_slow_answer_does_not() {
    let address = server(|_, command| match command.code {
        1 => vec![Act::Nothing],
        _ => vec![Act::Answer(command.answer(0))],
    })
    .await;
    let connection = connect(address).await;
    let (slow, quick) = tokio::join!(
        connection.request(Command::request(1), Duration::from_millis(200)),
        connection.request(Command::request(2), LONG)
    );
    assert!(matches!(slow, Err(RequestError::Timeout { waited_ms: 200, .. })));
    assert!(quick.is_ok() && !connection.is_closed(), "it spoke in the meantime");
    let (silent, other) = tokio::join!(
        connection.request(Command::request(1), Duration::from_millis(200)),
        connection.request(Command::request(1), LONG)
    );
    assert!(matches!(silent, Err(RequestError::Timeout { .. })));
    assert!(matches!(other, Err(RequestError::Closed { .. })), "who else waits is told at once");
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_close_and_nonsense_are_told_to_all_who_wait() {
    for script in [Act::Close, Act::Bytes(&[0xFF; 8])] {
        let is_close = matches!(script, Act::Close);
        let address = server(move |count, _| match (count, is_close) {
            (1, true) => vec![Act::Close],
            (1, false) => vec![Act::Bytes(&[0xFF; 8])],
            _ => vec![Act::Nothing],
        })
        .await;
        let connection = connect(address).await;
        let (first, second) = tokio::join!(
            connection.request(Command::request(1), LONG),
            connection.request(Command::request(1), LONG)
        );
        assert!(matches!(first, Err(RequestError::Closed { .. })));
        assert!(matches!(second, Err(RequestError::Closed { .. })));
        assert!(matches!(
            connection.request(Command::request(1), LONG).await,
            Err(RequestError::Closed { .. })
        ));
    }
}

#[tokio::test]
async fn no_more_requests_wait_than_the_limit() {
    let address = server(|_, _| vec![Act::Nothing]).await;
    let connection = connect(address).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..REQUESTS_MAX {
        let connection = connection.clone();
        waiting.spawn(async move { connection.request(Command::request(1), LONG).await.is_ok() });
    }
    while connection.inner.shared.waiting().answers.len() < REQUESTS_MAX {
        tokio::task::yield_now().await;
    }
    let over = connection.request(Command::request(1), LONG).await;
    assert!(matches!(over, Err(RequestError::TooMany { .. })));
    connection.close("the test is over");
    while let Some(answered) = waiting.join_next().await {
        assert!(!answered.unwrap());
    }
}

#[tokio::test]
async fn a_request_of_the_server_is_handed_on() {
    let address = server(|_, command| {
        vec![
            Act::Answer(Command { flag: 0, opaque: 99, ..Command::request(40) }),
            Act::Answer(command.answer(0)),
        ]
    })
    .await;
    let (sender, mut incoming) = mpsc::channel(4);
    let connection = Connection::connect(&address.to_string(), &quick(), Some(sender)).await.unwrap();
    connection.request(Command::request(34), LONG).await.unwrap();
    let asked = incoming.recv().await.unwrap();
    assert_eq!((asked.code, asked.opaque), (40, 99));
}

#[tokio::test]
async fn the_client_connects_again_after_an_end() {
    let address = server(|count, command| match count {
        0 => vec![Act::Answer(command.answer(0)), Act::Close],
        _ => vec![Act::Close],
    })
    .await
    .to_string();
    let client = Client::new(quick());
    for _ in 0..3 {
        client.request(&address, Command::request(1)).await.unwrap();
        while !client.connection(&address).await.unwrap().is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if client.request(&address, Command::request(1)).await.is_ok() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn who_waited_for_a_connection_that_failed_is_told_at_once() {
    // A listener that accepts nothing: its backlog is full of the first connections.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let client = Client::new(quick());
    let (first, second) = tokio::join!(client.connection(&closed), client.connection(&closed));
    assert!(matches!(first, Err(RequestError::Connect { .. })));
    assert!(matches!(second, Err(RequestError::Connect { .. })));
}

#[tokio::test]
async fn a_name_server_that_is_away_or_knows_nothing_is_followed_by_the_next() {
    let route = r#"{"brokerDatas":[{"brokerAddrs":{0:"b:1"},"brokerName":"b"}],"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":1,"writeQueueNums":1}]}"#;
    let knowing = server(move |_, command| match command.field("topic") {
        Some("t") => vec![Act::Answer(command.answer(0).with_body(route))],
        _ => vec![Act::Answer(command.answer(answer::TOPIC_NOT_EXIST))],
    })
    .await;
    let fresh = server(|_, command| vec![Act::Answer(command.answer(answer::TOPIC_NOT_EXIST))]).await;
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let addresses = [away, fresh, knowing].map(|address| address.to_string());
    let names = NameServers::new(Client::new(quick()), &addresses);
    assert_eq!(names.route("t").await.unwrap().write_queues().len(), 1);
    assert!(matches!(names.route("u").await, Err(RouteError::NoTopic(topic)) if &*topic == "u"));
    let away = NameServers::new(Client::new(quick()), &addresses[..1]);
    assert!(matches!(away.route("t").await, Err(RouteError::Request(_))));
    assert!(matches!(NameServers::new(Client::new(quick()), &[]).route("t").await, Err(RouteError::None)));
}

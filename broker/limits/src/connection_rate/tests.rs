//! Admissions and releases over a virtual clock.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

fn rate(per_second: u64, burst: u64) -> Rate {
    Rate::new(per_second, burst).unwrap()
}

fn small() -> ConnectionRateConfig {
    ConnectionRateConfig {
        connect_rate: rate(10, 8),
        connect_rate_per_address: rate(2, 4),
        connections_per_address: 5,
        connections: 20,
        loopback_exempt: false,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The `index`th of many addresses.
fn many(index: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + index).into()
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = ConnectionRateConfig::default();
    assert_eq!(config.connect_rate, rate(500, 1_000));
    assert_eq!(config.connect_rate_per_address, rate(20, 40));
    assert_eq!((config.connections_per_address, config.connections), (256, 816));
    assert!(config.loopback_exempt);
    for (descriptors, expect) in [(0, 1), (100, 1), (160, 32), (1_000, 800), (1_048_576, 838_860)] {
        assert_eq!(connections_for_descriptors(descriptors), expect);
    }
    assert_eq!(connections_for_descriptors(u64::MAX), 10_000_000);
}

#[test]
fn an_address_has_a_burst_and_a_rate() {
    let now = Instant::now();
    let mut rates = ConnectionRate::new(small(), now);
    let here = address("192.0.2.1");
    for _ in 0..4 {
        assert_eq!(rates.admit(here, now), Ok(()));
        rates.release(here);
    }
    let until = now + Duration::from_millis(500);
    let refusal = rates.admit(here, now).unwrap_err();
    let address = AddressPrefix::of(here);
    let expect = Refusal::ConnectRatePerAddress { address, per_second: 2, burst: 4, until };
    assert_eq!(refusal, expect);
    assert_eq!((refusal.limit(), refusal.retry_at()), ("connect_rate_per_address", Some(until)));
    assert_eq!(refusal.to_string(), "more than 2 connections per second (burst 4) from 192.0.2.1");
    // What was refused took nothing from the others: 8 - 4 are left.
    for index in 0..4 {
        assert_eq!(rates.admit(many(index), now), Ok(()));
    }
    assert_eq!(rates.admit(here, until), Ok(()));
}

#[test]
fn all_together_have_a_burst_and_a_rate() {
    let now = Instant::now();
    let mut rates = ConnectionRate::new(small(), now);
    for index in 0..8 {
        assert_eq!(rates.admit(many(index), now), Ok(()));
    }
    let until = now + Duration::from_millis(100);
    let refusal = rates.admit(many(9), now).unwrap_err();
    assert_eq!(refusal, Refusal::ConnectRate { per_second: 10, burst: 8, until });
    assert_eq!(refusal.limit(), "connect_rate");
    assert_eq!(rates.admit(many(9), until), Ok(()));
    assert_eq!(rates.connections(), 9);
}

#[test]
fn connections_of_an_address_are_counted_until_released() {
    let mut now = Instant::now();
    let mut rates = ConnectionRate::new(small(), now);
    // Different addresses of one /64.
    let peer =
        |last: u64| IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(last)));
    for index in 0..5 {
        now += Duration::from_secs(1);
        assert_eq!(rates.admit(peer(index), now), Ok(()));
    }
    now += Duration::from_secs(10);
    let refusal = rates.admit(peer(9), now).unwrap_err();
    let address = AddressPrefix::of(peer(0));
    assert_eq!(refusal, Refusal::ConnectionsPerAddress { address, maximum: 5 });
    assert_eq!((refusal.limit(), refusal.retry_at()), ("connections_per_address", None));
    rates.release(peer(3));
    assert_eq!(rates.admit(peer(9), now), Ok(()));
    assert_eq!(rates.connections(), 5);
}

#[test]
fn a_mapped_address_is_the_same_address() {
    let now = Instant::now();
    let mut rates = ConnectionRate::new(small(), now);
    for text in ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"] {
        assert_eq!(rates.admit(address(text), now), Ok(()));
    }
    assert_eq!(
        rates.admit(address("192.0.2.1"), now).unwrap_err().limit(),
        "connect_rate_per_address"
    );
}

#[test]
fn loopback_is_free_of_all_but_the_number_of_connections() {
    for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        let now = Instant::now();
        let mut exempt =
            ConnectionRate::new(ConnectionRateConfig { loopback_exempt: true, ..small() }, now);
        for _ in 0..20 {
            assert_eq!(exempt.admit(address(text), now), Ok(()), "{text}");
        }
        let refusal = exempt.admit(address(text), now).unwrap_err();
        assert_eq!(refusal, Refusal::Connections { maximum: 20 });
        assert_eq!((refusal.limit(), refusal.retry_at()), ("connections", None));
        exempt.release(address(text));
        // Nothing was taken from the others.
        assert_eq!(exempt.admit(many(0), now), Ok(()));

        let mut limited = ConnectionRate::new(small(), now);
        let refused = (0..20).find(|_| limited.admit(address(text), now).is_err());
        assert_eq!(refused, Some(4), "{text}");
    }
}

#[test]
fn a_release_without_admission_counts_nothing() {
    let now = Instant::now();
    let mut rates = ConnectionRate::new(small(), now);
    rates.release(many(0));
    rates.admit(many(1), now).unwrap();
    rates.release(many(1));
    rates.release(many(1));
    assert_eq!(rates.connections(), 0);
}

#[test]
fn addresses_are_forgotten_once_their_bucket_is_full() {
    let mut now = Instant::now();
    let config = ConnectionRateConfig { connect_rate: rate(1_000_000, 1_000_000), ..small() };
    let mut rates = ConnectionRate::new(config, now);
    rates.admit(many(0), now).unwrap();
    for index in 1..100_000 {
        now += Duration::from_millis(1);
        rates.admit(many(index), now).unwrap();
        rates.release(many(index));
    }
    // A bucket is full again after 0.5 s: some 500 addresses are worth remembering at a time.
    assert!(rates.addresses.len() <= SWEEP_MIN + 1, "{}", rates.addresses.len());
    assert_eq!(rates.connections(), 1);
    // The address that still has its connection is among them.
    assert_eq!(rates.addresses[&AddressPrefix::of(many(0))].connections, 1);
}

#[test]
fn a_full_table_refuses_until_somebody_can_be_forgotten() {
    let now = Instant::now();
    let config = ConnectionRateConfig { connect_rate: rate(1_000_000, 1_000_000), ..small() };
    let mut rates = ConnectionRate::new(config, now);
    let maximum = ADDRESSES_WITHOUT_CONNECTION_MAX + 20;
    for index in 0..u32::try_from(maximum).unwrap() {
        rates.admit(many(index), now).unwrap();
        rates.release(many(index));
    }
    let refusal = rates.admit(many(1 << 23), now).unwrap_err();
    assert_eq!(refusal, Refusal::Addresses { maximum });
    // Who is known may go on.
    assert_eq!(rates.admit(many(7), now), Ok(()));
    assert_eq!(rates.admit(many(1 << 23), now + Duration::from_secs(2)), Ok(()));
    assert_eq!(rates.addresses.len(), 2);
}

#[test]
fn other_limits_keep_the_counts() {
    let now = Instant::now();
    let exempt = ConnectionRateConfig { loopback_exempt: true, ..small() };
    let mut rates = ConnectionRate::new(exempt, now);
    let here = address("127.0.0.1");
    for _ in 0..7 {
        rates.admit(here, now).unwrap();
    }
    rates.set_config(small(), now);
    assert_eq!(rates.admit(here, now).unwrap_err().limit(), "connections_per_address");
    for _ in 0..3 {
        rates.release(here);
    }
    assert_eq!(rates.admit(here, now), Ok(()));
    assert_eq!(rates.connections(), 5);
}

/// Behind a load balancer: counted among all from the start, as one of its address once that is
/// known.
#[test]
fn a_held_connection_is_of_no_address_until_it_is_settled() {
    let now = Instant::now();
    let config = ConnectionRateConfig { connections: 3, connections_per_address: 1, ..small() };
    let mut rates = ConnectionRate::new(config, now);
    for _ in 0..3 {
        assert_eq!(rates.hold(), Ok(()));
    }
    assert_eq!(rates.hold(), Err(Refusal::Connections { maximum: 3 }));
    assert_eq!(rates.admit(many(0), now).unwrap_err().limit(), "connections");
    assert_eq!(rates.addresses.len(), 0);

    assert_eq!(rates.settle(many(1), now), Ok(()));
    assert_eq!(rates.settle(many(1), now).unwrap_err().limit(), "connections_per_address");
    assert_eq!(rates.connections(), 3);
    // Refused, it is still held.
    rates.release_held();
    assert_eq!(rates.connections(), 2);
    assert_eq!(rates.settle(many(2), now), Ok(()));
    rates.release(many(1));
    rates.release(many(2));
    assert_eq!(rates.connections(), 0);
}

#[test]
fn the_rate_of_all_says_until_when_it_is_closed() {
    let now = Instant::now();
    let mut rates = ConnectionRate::new(small(), now);
    for index in 0..8 {
        assert_eq!(rates.closed_until(now), None);
        rates.admit(many(index), now).unwrap();
    }
    let until = now + Duration::from_millis(100);
    assert_eq!(rates.closed_until(now), Some(until));
    assert_eq!(rates.closed_until(until), None);
}

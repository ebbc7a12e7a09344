//! What keys of proxies mean, and which are refused.

use super::*;

fn read(keys: &[(&str, &str)]) -> Result<Proxy, Error> {
    Proxy::read(&keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn between(listen: &str, connect: &str) -> Result<Proxy, Error> {
    read(&[("listen", listen), ("connect", connect)])
}

#[test]
fn ports_are_mapped_one_to_one_or_many_to_one() {
    let pairs = |listen, connect| between(listen, connect).unwrap().pairs();
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    assert_eq!(pairs("tcp:0.0.0.0:8080", "tcp:127.0.0.1:80"), owned(&[("tcp:0.0.0.0:8080", "tcp:127.0.0.1:80")]));
    assert_eq!(
        pairs("tcp:[::]:80,443,8000-8001", "tcp:[::1]:80,443,90-91"),
        owned(&[
            ("tcp:[::]:80", "tcp:[::1]:80"),
            ("tcp:[::]:443", "tcp:[::1]:443"),
            ("tcp:[::]:8000", "tcp:[::1]:90"),
            ("tcp:[::]:8001", "tcp:[::1]:91"),
        ])
    );
    assert_eq!(
        pairs("tcp:10.0.0.1:1-2", "unix:/run/x.sock"),
        owned(&[("tcp:10.0.0.1:1", "unix:/run/x.sock"), ("tcp:10.0.0.1:2", "unix:/run/x.sock")])
    );
}

#[test]
fn every_pair_of_protocols_but_udp_to_another_is_taken() {
    let of = ["tcp:127.0.0.1:80", "udp:127.0.0.1:80", "unix:/run/x", "unix:@x"];
    for listen in of {
        for connect in of {
            let read = between(listen, connect);
            let wanted = !listen.starts_with("udp") || connect.starts_with("udp");
            assert_eq!(read.is_ok(), wanted, "{listen} {connect}");
            assert!(wanted || read.unwrap_err().kind == Kind::Unsupported);
        }
    }
}

#[test]
fn what_is_malformed_is_refused_by_its_key() {
    let long = format!("unix:/{}", "x".repeat(107));
    for (listen, said) in [
        ("", "missing"),
        ("tcp", "expected tcp:"),
        ("sctp:1.2.3.4:5", "expected tcp:"),
        ("tcp:80", "expected ADDRESS:PORT"),
        ("tcp::80", "IP address"),
        ("tcp:localhost:80", "names are not looked up"),
        ("tcp:::1:80", "in brackets"),
        ("tcp:[127.0.0.1]:80", "in brackets"),
        ("tcp:127.0.0.1:0", "1 to 65535"),
        ("tcp:127.0.0.1:65536", "1 to 65535"),
        ("tcp:127.0.0.1:+80", "1 to 65535"),
        ("tcp:127.0.0.1:", "1 to 65535"),
        ("tcp:127.0.0.1:80,", "1 to 65535"),
        ("tcp:127.0.0.1:90-80", "greater"),
        ("tcp:127.0.0.1:80,70-90", "twice"),
        ("tcp:127.0.0.1:1-65535", "more than 1000"),
        ("unix:", "absolute"),
        ("unix:x", "absolute"),
        ("unix:/run/../x", "absolute"),
        ("unix:/run/", "absolute"),
        ("unix:@", "follow the @"),
        (&long, "107 bytes"),
    ] {
        let error = between(listen, "tcp:127.0.0.1:80").unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig, "{listen}");
        assert!(error.message.starts_with("listen: ") && error.message.contains(said), "{listen}: {error}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    let (tcp, udp) = (("listen", "tcp:0.0.0.0:80"), ("listen", "udp:0.0.0.0:80"));
    let to = ("connect", "tcp:127.0.0.1:80");
    for (keys, said) in [
        (&[tcp, ("connect", "tcp:127.0.0.1:80,81")][..], "2 ports for the 1"),
        (&[("listen", "tcp:0.0.0.0:1-3"), ("connect", "tcp:127.0.0.1:1-2")], "2 ports for the 3"),
        (&[tcp, to, ("mode", "0600")], "unix:/path"),
        (&[("listen", "unix:@x"), to, ("uid", "1")], "unix:/path"),
        (&[("listen", "unix:/x"), to, ("mode", "0888")], "0660"),
        (&[tcp, to, ("bind", "guest "), ("nat", "true")], "bind=host"),
        (&[tcp, to, ("bind", "inside")], "host or instance"),
        (&[tcp, to, ("security.uid", "-1")], "number"),
        (&[tcp, to, ("nat", "perhaps")], "true or false"),
        (&[tcp, ("connect", "unix:/x"), ("proxy_protocol", "true")], "tcp server"),
        (&[tcp, ("connect", "tcp:10.0.0.9:80"), ("nat", "true"), ("proxy_protocol", "true")], "without nat"),
        (&[tcp, ("connect", "tcp:[fd00::9]:80"), ("nat", "true")], "families"),
        (&[tcp, to, ("nat", "true")], "loopback"),
        (&[tcp, ("connect", "tcp:0.0.0.0:80")], "nobody's"),
        (&[udp, ("connect", "udp:127.0.0.1:80"), ("protocol", "1")], "no key"),
    ] {
        let error = read(keys).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig, "{keys:?}: {error}");
        assert!(error.message.contains(said), "{keys:?}: {error}");
    }
    let nat = read(&[tcp, ("connect", "udp:10.0.0.9:80"), ("nat", "true")]).unwrap_err();
    assert_eq!(nat.kind, Kind::Unsupported);
}

#[test]
fn two_proxies_meet_where_one_takes_a_port_of_the_other() {
    let proxy = |listen| between(listen, "udp:127.0.0.1:80").unwrap();
    let first = proxy("tcp:0.0.0.0:80-90");
    assert_eq!(first.shared_place(&proxy("tcp:10.0.0.1:85")).unwrap(), "tcp port 85");
    for other in ["udp:0.0.0.0:85", "tcp:[::1]:85", "tcp:0.0.0.0:91", "unix:@x"] {
        assert_eq!(first.shared_place(&proxy(other)), None, "{other}");
    }
    assert_eq!(proxy("unix:/x").shared_place(&proxy("unix:/x")).unwrap(), "unix:/x");
}

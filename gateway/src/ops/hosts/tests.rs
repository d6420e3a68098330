//! Unit tests of `hosts.rs`.

use hyper::Request;

use super::*;

fn is_answered(hosts: &OpsHosts, target: &str, host: Option<&str>) -> bool {
    let mut request = Request::builder().uri(target);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    hosts.check(&request.body(()).unwrap().into_parts().0).is_ok()
}

#[test]
fn addresses_localhost_and_given_names_are_ours_and_no_others() {
    let hosts = OpsHosts::parse(&["Ops.Shop.example".to_owned(), "gateway-1".to_owned()]).unwrap();
    for good in [
        "127.0.0.1:9090",
        "10.0.0.3",
        "[::1]:9090",
        "localhost:9090",
        "LOCALHOST.",
        "ops.shop.example",
        "OPS.shop.example.:443",
        "gateway-1:9090",
    ] {
        assert!(is_answered(&hosts, "/", Some(good)), "{good}");
        assert!(is_answered(&hosts, &format!("http://{good}/"), None), "{good}");
    }
    for bad in [
        "",
        "evil.example:9090",
        "shop.example",
        "x.ops.shop.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "1.2.3",
        "[::1].evil.example",
    ] {
        assert!(!is_answered(&hosts, "/", Some(bad)), "{bad}");
    }
    // The host of the target precedes the header, and both must be accepted.
    assert!(!is_answered(&hosts, "http://evil.example/", Some("localhost")));
    assert!(!is_answered(&hosts, "http://localhost/", Some("evil.example")));
    // HTTP/1.0 without any host: no browser sends that.
    assert!(is_answered(&hosts, "/", None));
    assert!(OpsHosts::parse(&["a:80".to_owned()]).is_err() && OpsHosts::parse(&["*".to_owned()]).is_err());
}

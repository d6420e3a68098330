//! The load of a copy: reservations, and a second later what becomes of each.

use testkit::Failed;
use testkit::run_folder::RunFolder;

use crate::cases::Buyers;
use crate::generator::Requests;
use crate::relay::{SALE, STORES};

/// First the taps of `lead` buyers, then in turn a tap and what comes after the tap of `lead` buyers before.
pub(super) fn requests(folder: &RunFolder, count: usize, lead: usize) -> Result<Requests, Failed> {
    let (buyers, secret) = (Buyers::new(folder, count)?, folder.path("secret").display().to_string());
    let args =
        ["token", "--sub", "payments", "--scope", "service", "--ttl", "2h", "--auth-secret-file", &secret];
    let service = folder.run("gateway", &args)?;
    let mut requests = Requests::default();
    for n in 0..count {
        requests.push(&buyers.tap(n, SALE, STORES));
        if let Some(before) = n.checked_sub(lead) {
            requests.push(&settlement(&buyers, before, service.trim()));
        }
    }
    Ok(requests)
}

/// Half of the reservations are paid, a quarter is cancelled, and a quarter is amended and stays held.
fn settlement(buyers: &Buyers, n: usize, service: &str) -> String {
    let (id, buyer) = buyers.reservation(n, SALE);
    let (method, call, token, body) = match n % 4 {
        0 | 3 => ("POST", "/confirm", service, format!(r#"{{"payment":"pay-{n}","version":1}}"#)),
        1 => ("POST", "/cancel", buyer, String::new()),
        _ => ("PATCH", "", buyer, r#"{"packages":["cover"]}"#.to_owned()),
    };
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    format!(
        "{method} /v1/sales/{SALE}/reservations/{id}{call} HTTP/1.1\r\nhost: launch.example\r\n\
         authorization: Bearer {token}\r\n{kind}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

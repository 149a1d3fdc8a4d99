//! AWS Signature Version 4 as its documentation describes it, to check signatures with. Independent
//! of the library that the gateway signs with.

use sha2::{Digest, Sha256};

use super::server::Seen;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// The value that `Authorization` should have. Paths are encoded once more, as for every service but
/// S3.
pub fn expected(seen: &Seen, id: &str, secret: &str, region: &str, service: &str) -> String {
    let authorization = seen.header("authorization");
    let signed = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    let headers: String =
        signed.split(';').map(|name| format!("{name}:{}\n", seen.header(name))).collect();
    // A query is signed as it is sent: the tests write theirs in order.
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let (method, path) = (&seen.method, path.replace('%', "%25"));
    let payload = hex(&Sha256::digest(&seen.body));
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{payload}");
    let time = seen.header("x-amz-date");
    let day = time.get(..8).unwrap();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let hash = hex(&Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let key = [region, service, "aws4_request"]
        .iter()
        .fold(hmac(format!("AWS4{secret}").as_bytes(), day), |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &text));
    format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}"
    )
}

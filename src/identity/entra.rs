//! Tokens of Microsoft Entra ID for a service principal: OAuth's client credentials.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::fresh::Fresh;
use super::http::Client;
use super::oauth;
use crate::catalog::Entra;

pub(super) async fn fetch(entra: &Entra, client: &Client) -> Result<Fresh, String> {
    let tenant = utf8_percent_encode(&entra.tenant, NON_ALPHANUMERIC);
    let authority = entra.authority.trim_end_matches('/');
    let url = format!("{authority}/{tenant}/oauth2/v2.0/token");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &*entra.client_id),
        ("client_secret", entra.client_secret.expose()),
        ("scope", &*entra.scope),
    ];
    oauth::token(client, &url, &form).await
}

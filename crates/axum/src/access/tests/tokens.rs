//! Tokens, good and bad.

use super::*;

fn subject(name: &str) -> Identity {
    Identity::Subject(Subject::new(name).unwrap())
}

/// AC-1, AC-3, AC-4, AC-5: good tokens, in each algorithm and each kind of file.
#[tokio::test]
async fn good_tokens_are_good() {
    let (ed, rsa) = (Issuer::ed25519().named("e"), Issuer::rsa().named("r"));
    let p256 = Issuer::p256().named("p");
    let secret = Issuer::secret(SECRET);
    let all = [&ed, &rsa, &p256, &secret];
    let sets = [
        (jwks(&all), all.to_vec()),
        (serde_json::to_string(&p256.jwk()).unwrap(), vec![&p256]),
        (p256.public_pem.clone(), vec![&p256]),
        (p256.public_pem.replace('\n', "\r\n"), vec![&p256]),
        (serde_json::to_string(&ed.jwk()).unwrap(), vec![&ed]),
        (ed.public_pem.clone(), vec![&ed]),
        (rsa.public_pem.clone(), vec![&rsa]),
        (format!("{SECRET}\n"), vec![&secret]),
    ];
    let claims = but(&json!({"rooms": {"team-*": ["read", "write"], "news": ["read"]}}));
    for (text, issuers) in sets {
        let authenticator = Place::new().with_keys(&text).await;
        for issuer in issuers {
            let access = check(&authenticator, &issuer.sign(&claims)).await.unwrap();
            assert_eq!(access.identity, subject("ada"));
            assert_eq!(
                access.naming,
                Naming::Vouched(protocol::id::Name::tidy("Ada"))
            );
            let left = access.expires_in.unwrap().as_secs();
            assert!((590..=600).contains(&left), "{left}");
            let room = |name| RoomName::new(name).unwrap();
            assert!(access.rights.allow(&room("team-a"), Right::Write));
            assert!(!access.rights.allow(&room("news"), Right::Write));
            assert!(!access.rights.allow(&room("lobby"), Right::Read));
        }
    }
}

/// AC-4: without a name in the token the subject is the session's name. AC-5: without a word on rooms a
/// token is good for all of them.
#[tokio::test]
async fn what_a_token_need_not_say() {
    let authenticator = Place::new().with_keys(SECRET).await;
    let issuer = Issuer::secret(SECRET);
    for name in [json!(null), json!(""), json!(" \u{200b} ")] {
        let token = issuer.sign(&but(
            &json!({"name": name, "exp": (from_now(600) as f64) + 0.5}),
        ));
        let access = check(&authenticator, &token).await.unwrap();
        assert_eq!(
            access.naming,
            Naming::Vouched(protocol::id::Name::tidy("ada"))
        );
        assert_eq!(access.rights, Rights::ALL);
    }
}

/// AC-1: each bad token is invalid; only one that was good once is expired.
#[tokio::test]
async fn bad_tokens_are_bad() {
    let place = Place::new();
    let mut config = place.config_with_keys(SECRET);
    let tokens = config.tokens.as_mut().unwrap();
    tokens.audience = Some("everbeat".to_owned());
    tokens.issuer = Some("us".to_owned());
    let authenticator = Authenticator::new(config).await.unwrap();
    let issuer = Issuer::secret(SECRET);
    let good = json!({"aud": "everbeat", "iss": "us"});
    let with = |changes: Value| issuer.sign(&changed(but(&good), &changes));
    assert!(check(&authenticator, &with(json!({}))).await.is_ok());
    assert!(
        check(&authenticator, &with(json!({"aud": ["x", "everbeat"]})))
            .await
            .is_ok()
    );
    let expired = check(&authenticator, &with(json!({"exp": from_now(-60)}))).await;
    assert_eq!(expired, Err(Denied::TokenExpired));
    let invalid = [
        json!({"nbf": from_now(60)}),
        json!({"nbf": "tomorrow"}),
        json!({"aud": "other"}),
        json!({"aud": []}),
        json!({"aud": 7}),
        json!({"aud": null}),
        json!({"iss": "them"}),
        json!({"iss": ["them"]}),
        json!({"iss": 7}),
        json!({"iss": null}),
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "x".repeat(Subject::BYTES_MAX + 1)}),
        json!({"rooms": ["lobby"]}),
        json!({"rooms": "*"}),
        json!({"rooms": {"lobby": ["admin"]}}),
        json!({"rooms": {"Lobby": ["read"]}}),
    ];
    for changes in invalid {
        let denied = check(&authenticator, &with(changes.clone())).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "{changes}");
    }
}

/// AC-1: forged tokens, tokens of another key, and texts that are no tokens.
#[tokio::test]
async fn forged_tokens_are_bad() {
    let authenticator = Place::new().with_keys(SECRET).await;
    let issuer = Issuer::secret(SECRET);
    // Null is a word on rooms, though not a known one: it must not mean all of them.
    let mut nulled = ada();
    nulled["rooms"] = json!(null);
    assert_eq!(
        check(&authenticator, &issuer.sign(&nulled)).await,
        Err(Denied::TokenInvalid)
    );
    // A critical extension that the server does not know.
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["b64".to_owned()]);
    let critical = encode(&critical, &ada(), &issuer.key).unwrap();
    let denied = check(&authenticator, &Token::new(&critical).unwrap()).await;
    assert_eq!(denied, Err(Denied::TokenInvalid));
    // The right key, but another algorithm than it is for.
    let hashed_otherwise = Header::new(Algorithm::HS512);
    let hashed_otherwise = encode(&hashed_otherwise, &ada(), &issuer.key).unwrap();
    // Another key, another text, no signature, no token at all.
    let other = Issuer::secret("another secret of more than 32 bytes").sign(&ada());
    let [head, body, signature] = {
        let token = issuer.sign(&ada());
        let parts: Vec<String> = token.expose().split('.').map(str::to_owned).collect();
        <[String; 3]>::try_from(parts).unwrap()
    };
    let forged = base64(&but(&json!({"sub": "root"})));
    let texts = [
        other.expose().to_owned(),
        format!("{head}.{forged}.{signature}"),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        format!("{}.{body}.", base64(&json!({"alg": "none"}))),
        format!("{}.{body}.{signature}", base64(&json!({"alg": "none"}))),
        format!("{}.{body}.", base64(&json!({"alg": "None"}))),
        format!("{}.{body}.", base64(&json!({"alg": "nOnE"}))),
        format!("{}.{body}.", base64(&json!({"alg": ""}))),
        format!("{}.{body}.{signature}", base64(&json!({"alg": "HS512"}))),
        hashed_otherwise,
        "-".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(Token::BYTES_MAX),
    ];
    for text in texts {
        let denied = check(&authenticator, &Token::new(&text).unwrap()).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "{text:.80}");
    }
}

/// AC-1: the token of `hello` counts before the one in a cookie; a client with a bad token is no guest.
#[tokio::test]
async fn a_token_counts_before_a_cookie_before_a_guest() {
    let issuer = Issuer::secret(SECRET);
    let place = Place::new();
    let authenticator = place.with_keys(SECRET).await;
    let (ada, bob) = (
        issuer.sign(&ada()),
        issuer.sign(&but(&json!({"sub": "bob"}))),
    );
    let with_cookie = shows(
        &authenticator,
        &format!("a=b; everbeat-token={}", bob.expose()),
    );
    let said = authenticator
        .authenticate(&with_cookie, Some(&ada))
        .await
        .unwrap();
    assert_eq!(said.identity, subject("ada"));
    let in_cookie = authenticator
        .authenticate(&with_cookie, None)
        .await
        .unwrap();
    assert_eq!(in_cookie.identity, subject("bob"));
    for bad in [
        "x.y.z",
        "",
        "\"quoted token\"",
        &"x".repeat(Token::BYTES_MAX + 1),
    ] {
        let credentials = shows(&authenticator, &format!("everbeat-token={bad}"));
        let denied = authenticator.authenticate(&credentials, None).await;
        assert_eq!(denied, Err(Denied::TokenInvalid), "{bad:.20}");
        assert!(authenticator.guest_cookie(&credentials, false).is_none());
    }
    assert!(
        authenticator
            .authenticate(&ShownCredentials::default(), None)
            .await
            .is_ok()
    );

    // Without keys the cookie is another program's, and a token is for another server.
    let authenticator = place.authenticator(None).await;
    assert!(
        authenticator
            .authenticate(&shows(&authenticator, "everbeat-token=theirs"), None)
            .await
            .is_ok()
    );
    let denied = authenticator
        .authenticate(&ShownCredentials::default(), Some(&ada))
        .await;
    assert_eq!(denied, Err(Denied::TokenInvalid));

    let config = AuthenticatorConfig {
        guests: None,
        token_cookie: "sid".to_owned(),
        ..place.config_with_keys(SECRET)
    };
    let authenticator = Authenticator::new(config).await.unwrap();
    let denied = authenticator
        .authenticate(&ShownCredentials::default(), None)
        .await;
    assert_eq!(denied, Err(Denied::TokenRequired));
    let credentials = shows(&authenticator, &format!("sid={}", bob.expose()));
    assert!(authenticator.authenticate(&credentials, None).await.is_ok());
}

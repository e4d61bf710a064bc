//! Guests, and the cookies that make them known.

use super::*;

/// A new guest's cookie of this server, as name and value.
fn new_cookie(authenticator: &Authenticator, is_secure: bool) -> String {
    let cookie = authenticator
        .guest_cookie(&ShownCredentials::default(), is_secure)
        .unwrap();
    let header = cookie.header().unwrap();
    header
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

async fn who(authenticator: &Authenticator, cookies: &str) -> Option<Subject> {
    let access = authenticator
        .authenticate(&shows(authenticator, cookies), None)
        .await
        .unwrap();
    match access.identity {
        Identity::Guest(subject) => subject,
        Identity::Subject(subject) => panic!("{subject:?} is no guest"),
    }
}

/// AC-3, AC-4: a guest with the same cookie is the same user, also on the next server with this data directory;
/// a cookie that we did not sign makes no guest known.
#[tokio::test]
async fn a_guest_is_known_by_a_signed_cookie() {
    let place = Place::new();
    let authenticator = place.authenticator(None).await;
    let nobody = ShownCredentials::default();
    let header = |authenticator: &Authenticator, is_secure| {
        let header = authenticator
            .guest_cookie(&nobody, is_secure)
            .unwrap()
            .header();
        header.unwrap().to_str().unwrap().to_owned()
    };
    let secure = header(&authenticator, true);
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Secure"] {
        assert!(secure.contains(part), "{secure}");
    }
    assert!(secure.starts_with("__Host-everbeat-guest-"), "{secure}");
    let plain = header(&authenticator, false);
    assert!(plain.starts_with("everbeat-guest-") && !plain.contains("Secure"));
    let value = secure.split(';').next().unwrap();
    let first = who(&authenticator, value).await;
    assert!(first.is_some());
    assert!(
        authenticator
            .guest_cookie(&shows(&authenticator, value), true)
            .is_none()
    );
    let again = place.authenticator(None).await;
    assert_eq!(who(&again, value).await, first);
    assert_ne!(who(&again, &new_cookie(&again, true)).await, first);

    let elsewhere = Place::new().authenticator(None).await;
    let claims = json!({"sub": "guest-1", "aud": "everbeat-guest", "exp": from_now(600)});
    let forged = Issuer::secret(SECRET).sign(&claims);
    let name = value.split('=').next().unwrap();
    let [forged, empty] = [forged.expose(), ""].map(|value| format!("{name}={value}"));
    for (authenticator, cookie) in [
        (&elsewhere, value),
        (&authenticator, &*forged),
        (&authenticator, &*empty),
    ] {
        assert_eq!(who(authenticator, cookie).await, None);
        assert!(
            authenticator
                .guest_cookie(&shows(authenticator, cookie), true)
                .is_some()
        );
    }
}

/// Browsers send the cookies of all ports of a host to each of them: each server finds its own, and
/// leaves those of the others alone.
#[tokio::test]
async fn servers_of_one_host_have_cookies_of_their_own() {
    let [one, other] = [
        Place::new().authenticator(None).await,
        Place::new().authenticator(None).await,
    ];
    let [cookie, another] = [&one, &other].map(|authenticator| new_cookie(authenticator, false));
    let name = |cookie: &str| cookie.split('=').next().unwrap().to_owned();
    assert_ne!(name(&cookie), name(&another));
    let both = format!("{cookie}; {another}");
    for (authenticator, own) in [(&one, &cookie), (&other, &another)] {
        assert_eq!(
            who(authenticator, &both).await,
            who(authenticator, own).await
        );
        assert!(who(authenticator, own).await.is_some());
        assert!(
            authenticator
                .guest_cookie(&shows(authenticator, &both), false)
                .is_none()
        );
    }
}

/// On a newer server, and from HTTP to HTTPS, a guest stays the same and gets a cookie of today's
/// kind; a cookie put in its place by another site does not hide it.
#[tokio::test]
async fn a_guest_stays_with_another_cookie() {
    let authenticator = Place::new().authenticator(None).await;
    let own = new_cookie(&authenticator, false);
    let (own_name, value) = own.split_once('=').unwrap();
    let guest = who(&authenticator, &own).await;
    let former = format!("everbeat-guest={value}");
    let tossed = format!("{own_name}=x.y.z; {own}");
    for (shown, is_secure, name) in [
        (&*former, false, Some("everbeat-guest-")),
        (&*former, true, Some("__Host-everbeat-guest-")),
        (&*own, true, Some("__Host-everbeat-guest-")),
        (&*own, false, None),
        (&*tossed, false, None),
    ] {
        assert_eq!(who(&authenticator, shown).await, guest, "{shown}");
        let cookie = authenticator.guest_cookie(&shows(&authenticator, shown), is_secure);
        let header = cookie.map(|cookie| cookie.header().unwrap());
        let header = header.as_ref().map(|header| header.to_str().unwrap());
        assert_eq!(header.is_some(), name.is_some(), "{shown}");
        let (Some(header), Some(name)) = (header, name) else {
            continue;
        };
        assert!(header.starts_with(name), "{header}");
        let renewed = header.split(';').next().unwrap();
        assert_eq!(who(&authenticator, renewed).await, guest);
        assert!(
            authenticator
                .guest_cookie(&shows(&authenticator, renewed), is_secure)
                .is_none()
        );
    }
    // The cookie that no other host of the domain can set comes first.
    let secure = new_cookie(&authenticator, true);
    let both = format!("{own}; {secure}");
    assert_eq!(
        who(&authenticator, &both).await,
        who(&authenticator, &secure).await
    );
    assert_ne!(who(&authenticator, &both).await, guest);
}

/// AC-1, AC-3: not everything that is signed with the key of guests' cookies is a guest's cookie; a guest's cookie is
/// no token, and a token no guest's cookie.
#[tokio::test]
async fn a_guests_cookie_is_nothing_else() {
    let place = Place::new();
    let authenticator = place.with_keys(SECRET).await;
    let key = fs::read(place.directory.path().join("guests.key")).unwrap();
    let (ours, issuer) = (Issuer::secret(&key), Issuer::secret(SECRET));
    let good = json!({"sub": "guest-1", "aud": "everbeat-guest", "exp": from_now(600)});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        ours.sign(&claims).expose().to_owned()
    };
    let known = ours.sign(&good);
    let guest = |value: &str| shows(&authenticator, &format!("everbeat-guest={value}"));
    let admitted = authenticator
        .authenticate(&guest(known.expose()), None)
        .await
        .unwrap();
    let known_as = Identity::Guest(Subject::new("guest-1").ok());
    assert_eq!(admitted.identity, known_as);

    let mut hashed_otherwise = Issuer::secret(&key);
    hashed_otherwise.algorithm = Algorithm::HS384;
    let token = issuer.sign(&ada());
    for nobody in [
        with("exp", json!(from_now(-120))),
        with("exp", json!("tomorrow")),
        with("aud", json!("other")),
        with("aud", Value::Null),
        with("sub", json!("")),
        format!("{}.{}.", base64(&json!({"alg": "none"})), base64(&good)),
        hashed_otherwise.sign(&good).expose().to_owned(),
        token.expose().to_owned(),
    ] {
        let admitted = authenticator
            .authenticate(&guest(&nobody), None)
            .await
            .unwrap();
        assert_eq!(admitted.identity, Identity::Guest(None), "{nobody}");
        assert!(authenticator.guest_cookie(&guest(&nobody), false).is_some());
    }
    let credentials = shows(
        &authenticator,
        &format!("everbeat-token={}", known.expose()),
    );
    let denied = authenticator.authenticate(&credentials, None).await;
    assert_eq!(denied, Err(Denied::TokenInvalid));
    assert_eq!(
        check(&authenticator, &known).await,
        Err(Denied::TokenInvalid)
    );
}

/// Only the server may read the key of guests' cookies. A broken key is not replaced silently, as all guests
/// would become new ones.
#[tokio::test]
async fn the_key_of_guests_is_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.authenticator(None).await;
    let path = place.directory.path().join("guests.key");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The power may be cut while it is written: the unfinished file is not taken for the key.
    fs::remove_file(&path).unwrap();
    fs::write(path.with_extension("key.part"), "half").unwrap();
    place.authenticator(None).await;
    assert_eq!(fs::read(&path).unwrap().len(), 32);
    assert!(!path.with_extension("key.part").exists());
    fs::write(&path, "short").unwrap();
    let told = Authenticator::new(place.config(None))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        told.contains("guests.key") && told.contains("Remove it"),
        "{told}"
    );
}

/// AC-3: nodes of one cluster know each other's guests by a key in a file that they share. No node makes that file: each
/// would make another key.
#[tokio::test]
async fn nodes_with_the_same_key_know_the_same_guests() {
    let shared = Place::new();
    let path = shared.directory.path().join("shared.key");
    let node = || {
        let place = Place::new();
        let config = AuthenticatorConfig {
            guest_key: Some(path.clone()),
            ..place.config(None)
        };
        (place, config)
    };
    let (_here, config) = node();
    let told = Authenticator::new(config).await.err().unwrap().to_string();
    assert!(told.contains("shared.key is missing"), "{told}");
    assert!(!path.exists());
    fs::write(&path, [7; 32]).unwrap();
    let ((here, one), (_there, other)) = (node(), node());
    let one = Authenticator::new(one).await.unwrap();
    let other = Authenticator::new(other).await.unwrap();
    let cookie = new_cookie(&one, true);
    let known = who(&one, &cookie).await;
    assert!(known.is_some());
    assert_eq!(who(&other, &cookie).await, known);
    assert_eq!(one.guest_mark(), other.guest_mark());
    let alone = here.authenticator(None).await;
    assert_ne!(alone.guest_mark(), one.guest_mark());
    assert_eq!(who(&alone, &cookie).await, None);
}

/// AC-4: where tokens vouch for names, guests are marked. AC-5: guests have the rights of the options.
#[tokio::test]
async fn guests_are_marked_where_others_are_vouched_for() {
    let session = SessionId::new("abcd").unwrap();
    let name = protocol::id::Name::tidy("Ada");
    let place = Place::new();
    let rights = "news=r".parse::<Grants>().unwrap();
    let config = AuthenticatorConfig {
        guests: Some(rights.into()),
        ..place.config_with_keys(SECRET)
    };
    let authenticator = Authenticator::new(config).await.unwrap();
    let guest = authenticator
        .authenticate(&ShownCredentials::default(), None)
        .await
        .unwrap();
    assert_eq!(
        guest.naming.name(Some(&name), &session).as_str(),
        "Ada (guest)"
    );
    assert!(
        guest
            .rights
            .allow(&RoomName::new("news").unwrap(), Right::Read)
    );
    assert!(!guest.rights.allow(&RoomName::lobby(), Right::Read));
    let authenticator = place.authenticator(None).await;
    let guest = authenticator
        .authenticate(&ShownCredentials::default(), None)
        .await
        .unwrap();
    assert_eq!(guest.naming.name(Some(&name), &session), name);
    assert_eq!(guest.rights, Rights::ALL);
}

#[test]
fn cookies_are_found_by_their_whole_name() {
    let mut headers = HeaderMap::new();
    headers.append(header::COOKIE, HeaderValue::from_static("xa=1; a=2;b=3"));
    headers.append(header::COOKIE, HeaderValue::from_static("c=4=5"));
    let odd = HeaderValue::from_bytes(b"x=\x80\xff; e=6").unwrap();
    headers.append(header::COOKIE, odd);
    for (name, value) in [
        ("a", Some("2")),
        ("b", Some("3")),
        ("c", Some("4=5")),
        ("d", None),
        ("e", Some("6")),
    ] {
        assert_eq!(cookies(&headers, name).next(), value, "{name}");
    }
}

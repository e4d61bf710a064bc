//! Guests, and the cookies that make them known.

use super::*;
use crate::access::guests::COOKIE;

/// AC-3, AC-4: a guest is the same person with the same cookie, also on the next server of these data;
/// a cookie that we did not sign makes nobody known.
#[tokio::test]
async fn a_guest_is_known_by_a_signed_cookie() {
    let place = Place::new();
    let gate = place.gate(&[]).await;
    let nobody = Presented::default();
    let header = gate.guest_cookie(&nobody).unwrap().header(true).unwrap();
    let header = header.to_str().unwrap().to_owned();
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Secure"] {
        assert!(header.contains(part), "{header}");
    }
    let value = header.split(';').next().unwrap();
    let first = gate.admit(&shows(&gate, value), None).await.unwrap();
    assert!(first.subject.is_some());
    assert!(gate.guest_cookie(&shows(&gate, value)).is_none());
    let again = place.gate(&[]).await;
    assert_eq!(
        again.admit(&shows(&again, value), None).await.unwrap(),
        first
    );
    let other = again.guest_cookie(&nobody).unwrap().header(false).unwrap();
    let other = other.to_str().unwrap();
    assert!(!other.contains("Secure"));
    let other = other.split(';').next().unwrap();
    assert_ne!(
        again.admit(&shows(&again, other), None).await.unwrap(),
        first
    );

    let elsewhere = Place::new().gate(&[]).await;
    let claims = json!({"sub": "guest-1", "aud": "everbeat-guest", "exp": from_now(600)});
    let forged = Issuer::secret(SECRET).sign(&claims);
    let forged = format!("{}={}", COOKIE, forged.expose());
    for (gate, cookie) in [
        (&elsewhere, value),
        (&gate, &*forged),
        (&gate, "everbeat-guest="),
    ] {
        let access = gate.admit(&shows(gate, cookie), None).await.unwrap();
        assert_eq!(access.subject, None);
        assert!(gate.guest_cookie(&shows(gate, cookie)).is_some());
    }
}

/// AC-1, AC-3: not even with the key of guests' cookies is everything a guest's cookie; and none of them is
/// a token, nor a token one of them.
#[tokio::test]
async fn a_guests_cookie_is_nothing_else() {
    let place = Place::new();
    let gate = place.with_keys(SECRET, &[]).await;
    let key = fs::read(place.directory.path().join("guests.key")).unwrap();
    let (ours, issuer) = (Issuer::secret(&key), Issuer::secret(SECRET));
    let good = json!({"sub": "guest-1", "aud": "everbeat-guest", "exp": from_now(600)});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        ours.sign(&claims).expose().to_owned()
    };
    let known = ours.sign(&good);
    let guest = |value: &str| shows(&gate, &format!("{COOKIE}={value}"));
    let admitted = gate.admit(&guest(known.expose()), None).await.unwrap();
    assert_eq!(admitted.subject, Subject::new("guest-1"));

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
        let admitted = gate.admit(&guest(&nobody), None).await.unwrap();
        assert_eq!(admitted.subject, None, "{nobody}");
        assert!(gate.guest_cookie(&guest(&nobody)).is_some());
    }
    let presented = shows(&gate, &format!("everbeat-token={}", known.expose()));
    let denied = gate.admit(&presented, None).await;
    assert_eq!(denied, Err(Denied::TokenInvalid));
    assert_eq!(check(&gate, &known).await, Err(Denied::TokenInvalid));
}

/// The key of guests' cookies is for the server alone, and one that is broken is not replaced in
/// silence: all guests would be somebody else.
#[tokio::test]
async fn the_key_of_guests_is_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.gate(&[]).await;
    let path = place.directory.path().join("guests.key");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // The power may be cut while it is written: what is left is not taken for the key.
    fs::remove_file(&path).unwrap();
    fs::write(path.with_extension("key.part"), "half").unwrap();
    place.gate(&[]).await;
    assert_eq!(fs::read(&path).unwrap().len(), 32);
    assert!(!path.with_extension("key.part").exists());
    fs::write(&path, "short").unwrap();
    let told = Gate::new(&place.config(&[]))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        told.contains("guests.key") && told.contains("Remove it"),
        "{told}"
    );
}

/// AC-4: where tokens vouch for names, guests are marked. AC-5: guests have the rights of the options.
#[tokio::test]
async fn guests_are_marked_where_others_are_vouched_for() {
    let session = SessionId::new("abcd").unwrap();
    let name = protocol::id::Name::tidy("Ada");
    let place = Place::new();
    let gate = place.with_keys(SECRET, &["--guest-rooms", "news=r"]).await;
    let guest = gate.admit(&Presented::default(), None).await.unwrap();
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
    let gate = place.gate(&[]).await;
    let guest = gate.admit(&Presented::default(), None).await.unwrap();
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
        assert_eq!(cookie(&headers, name), value, "{name}");
    }
}

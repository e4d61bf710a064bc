//! The page in English.

use super::Word;
use super::table::{Table, in_order};

/// The table.
pub(super) static TABLE: Table = in_order([
    (Word::Tag, "en"),
    // boot.js
    (
        Word::BootWasm,
        "This browser does not run WebAssembly (Lockdown Mode turns it off): this page cannot update by itself.",
    ),
    (
        Word::BootSocket,
        "This browser, or an extension in it, forbids the connection that keeps this page up to date: it does not update by itself.",
    ),
    (
        Word::BootLoad,
        "A part of this page could not be loaded: it does not update by itself.",
    ),
    (
        Word::BootLate,
        "A part of this page has not come yet: until it does, this page does not update by itself.",
    ),
    (
        Word::BootFault,
        "This page stopped because of a fault in it: it does not update by itself.",
    ),
    (
        Word::BootChanged,
        "Something, perhaps an extension, changes this page: it may not show all that is new.",
    ),
    (
        Word::BootNoAnswer,
        "Your message was not sent: the server did not answer. Send it again later.",
    ),
    (
        Word::BootOneWaits,
        "1 message waits in this browser: it is sent once the page comes alive.",
    ),
    (
        Word::BootManyWait,
        "{n} messages wait in this browser: they are sent once the page comes alive.",
    ),
    (Word::BootButton, "What you write is sent with the button."),
    (Word::BootAgain, "Load it again"),
    (Word::BootAgainNew, "{again} to see what is new."),
    (Word::BootAgainOnly, "{again}."),
    // The header
    (Word::SkipToInput, "Skip to the input box"),
    (Word::Language, "Language"),
    (Word::Lobby, "Lobby"),
    (Word::WhatIsThis, "What is this?"),
    (Word::PullThePlug, "Pull the plug and see what happens"),
    // The connection
    (Word::Connection, "Connection"),
    (Word::Idle, "Not connected"),
    (Word::Connecting, "Connecting"),
    (Word::Live, "Live"),
    (Word::Reconnecting, "Reconnecting"),
    (Word::Offline, "Offline"),
    (Word::Stopped, "Stopped"),
    (Word::RetryIn, " in {n} s"),
    (Word::RetryOfflineIn, ", trying again in {n} s"),
    (Word::Milliseconds, "{n} ms"),
    (Word::RoundTrip, "The last round trip"),
    (Word::Waiting, "{n} waiting"),
    (Word::TryNow, "Try now"),
    (Word::Checking, "Checking the connection…"),
    (Word::Seconds, "{n} s"),
    (Word::Attempt, "Try {n}."),
    (
        Word::AttemptDrawn,
        "Try {n} after {delay}, drawn from up to {ceiling}.",
    ),
    (Word::AttemptAtSlot, "It gave this page a turn of its own."),
    (Word::TwoSentences, "{one} {two}"),
    (Word::TroubleOffline, "This device reports no network."),
    (Word::TroubleUnreachable, "The server cannot be reached."),
    (Word::TroubleBroken, "The connection broke off."),
    (Word::TroubleSilent, "The server stopped answering."),
    (
        Word::TroubleUnheard,
        "The server heard nothing from this page in time.",
    ),
    (Word::TroubleRestarting, "The server is restarting."),
    (Word::TroubleBusy, "The server is too busy just now."),
    (
        Word::TroubleRefused,
        "The server refused the connection (HTTP {n}).",
    ),
    (Word::TroubleAsleep, "This page was asleep."),
    (
        Word::TroubleTakenOver,
        "Another tab went on with this session.",
    ),
    (Word::TroubleExpired, "The session expired."),
    (
        Word::TroubleGarbled,
        "This page and the server did not understand each other.",
    ),
    (
        Word::TroubleSignIn,
        "You are not signed in here, or no longer: sign in again.",
    ),
    (
        Word::TroubleEnded,
        "An operator ended this session. “Try now” brings you back.",
    ),
    (
        Word::TroubleOutdated,
        "This page is of another version than the server: load it again.",
    ),
    (Word::NoticeLost, "Connection lost. {why} Trying again."),
    (Word::NoticeBack, "Live again."),
    (Word::Resumed, "Resumed: {what}"),
    (Word::Renewed, "Back in a new session: {what}"),
    (Word::Comma, ", "),
    (Word::Arrived, "{n} had arrived"),
    (Word::SentAgain, "{n} sent again"),
    (Word::SentNow, "{n} sent"),
    (Word::CaughtUp, "{n} caught up"),
    (Word::NothingLost, "0 lost"),
    (Word::LeftUncertain, "{n} uncertain"),
    (Word::LeftGaps, "rooms with a gap: {n}"),
    (
        Word::PausedByRate,
        "Too many at once: your messages go on, the last in {n} s.",
    ),
    (
        Word::PausedUnavailable,
        "The server cannot store messages now: yours go on in {n} s.",
    ),
    // The input box
    (Word::Message, "Message"),
    (Word::Send, "Send"),
    (Word::WriteTo, "Write to {room}"),
    (Word::ReadOnly, "You may read, not write, in {room}"),
    (Word::NotTaken, "Not sent: {why}."),
    (
        Word::PageBusy,
        "Not sent: the page is busy. Try again in a moment.",
    ),
    (Word::ServerRefused, "The server refused something: {why}."),
    (
        Word::NotKept,
        "This browser keeps nothing more: reloading the page would lose what is not sent.",
    ),
    (
        Word::OutboxFull,
        "too many messages are waiting: try again when some have gone",
    ),
    (Word::NothingToSend, "there is nothing to send"),
    (
        Word::TooManyBytes,
        "the text has {bytes} bytes, {limit} are allowed",
    ),
    // Refusals
    (Word::BadFrame, "this is not a frame of everbeat.v1"),
    (Word::BadRoom, "a room's name is 1 to 64 of a-z 0-9 - _"),
    (Word::BodyEmpty, "a message needs at least one character"),
    (
        Word::BodyTooLarge,
        "the text is longer than this server takes",
    ),
    (Word::Busy, "many are coming at once: your turn is soon"),
    (
        Word::FrameTooLarge,
        "the frame is larger than this server takes",
    ),
    (
        Word::HelloExpected,
        "the first frame, and only the first, must be hello",
    ),
    (Word::NotJoined, "join the room first"),
    (Word::RateLimited, "too fast: try again a little later"),
    (Word::ReadDenied, "you may not read this room"),
    (
        Word::SeqConflict,
        "this number was used for another message",
    ),
    (Word::SeqGap, "this number skips some before it"),
    (Word::TokenExpired, "your sign-in has ended: sign in again"),
    (
        Word::TokenInvalid,
        "your sign-in is not good here: sign in again",
    ),
    (Word::TokenRequired, "sign in first"),
    (Word::TooManyRooms, "leave a room before joining another"),
    (
        Word::Unavailable,
        "the server cannot store messages now: try again later",
    ),
    (Word::WriteDenied, "you may not write in this room"),
    (Word::Refused, "the server refused it"),
    // The messages
    (Word::Messages, "Messages"),
    (Word::OlderMessages, "Older messages"),
    (Word::NewMessage, "1 new message"),
    (Word::NewMessages, "{n} new messages"),
    (Word::Today, "Today"),
    (Word::Yesterday, "Yesterday"),
    (Word::Gap, "Some messages could not be recovered"),
    (Word::You, "You"),
    (Word::Removed, "removed"),
    (Word::FateWaiting, "waiting"),
    (Word::FateSent, "sent"),
    (Word::FateDurable, "durable"),
    (Word::FateRefused, "refused: {why}"),
    (Word::FateHeld, "not sent: left in a page that was closed"),
    (Word::FateUncertain, "uncertain: it may have arrived or not"),
    (Word::SendAgain, "Send again"),
    (Word::Drop, "Drop"),
    (Word::EditAgain, "Edit again"),
    (Word::Dismiss, "Dismiss"),
    (Word::ReceivedMessage, "Received message"),
    (Word::NothingYet, "Nothing yet"),
    (Word::TypingNow, "Typing now"),
    (Word::MoreTyping, "+{n} typing"),
    // Beside the messages
    (Word::ThisRoomAndOthers, "This room and others"),
    (Word::YourName, "Your name"),
    (Word::Guest, "guest"),
    (Word::PeopleHere, "People here"),
    (Word::AndMore, "and {n} more"),
    (Word::YouMark, " (you)"),
    (Word::AwayMark, " (away)"),
    (Word::Rooms, "Rooms"),
    (Word::GoToRoom, "Go to room"),
    (Word::Room, "Room"),
    (Word::Go, "Go"),
    (Word::RoomRule, "A room's name is 1 to 64 of a-z 0-9 - _"),
    (Word::PeopleAndRooms, "People & rooms"),
    (Word::Unread, "{n} new"),
    // A page that is no room's
    (Word::NoRoom, "No room by this name"),
    (
        Word::NoRoomText,
        "A room's name is 1 to 64 of the characters a-z 0-9 - _, without capitals or spaces. \
        Any such name is a room: choose one, and it is there.",
    ),
    (Word::NoPage, "No page here"),
    (
        Word::NoPageText,
        "This address leads nowhere. Every room has a page of its own, at /r/ and its name.",
    ),
    // The server's pages
    (
        Word::Description,
        "Rooms where what one person types appears at once for the others.",
    ),
    (
        Word::Unstyled,
        "This page came without its style. Everbeat has to stand at the root of a host name, as \
        https://chat.example.org/, and not under a path of it. If it does, load this page again.",
    ),
    (
        Word::NoScript,
        "Without JavaScript this page does not update by itself: load it again to see what is new. \
        What you write is sent with the button.",
    ),
    (Word::SignIn, "Sign in first"),
    (
        Word::SignInText,
        "This room is for people who have signed in. Sign in where you usually do, and come back.",
    ),
    (Word::ClosedRoom, "This room is closed to you"),
    (
        Word::ClosedRoomText,
        "You may not read this room. Ask whoever runs this place for access.",
    ),
    (Word::OneMoment, "One moment"),
    (
        Word::OneMomentText,
        "Who you are cannot be checked just now. Load this page again in a minute.",
    ),
    (Word::NotSent, "Not sent"),
    (Word::NotSentWhy, "Your message was not sent: {why}."),
    (
        Word::PerhapsSent,
        "It is not known yet whether your message was sent. Send it again: it will be there once.",
    ),
    (Word::YourMessage, "Your message"),
    (Word::BackToRoom, "Back to the room"),
    (
        Word::FormRepeated,
        "this form was sent before, with another text. If this one is new, send it now",
    ),
    (
        Word::FormTooLong,
        "the text is far too long: go back, where your browser still has it, and shorten it",
    ),
    (
        Word::FormUnread,
        "the form did not arrive as this page sends it: go back, and send it again",
    ),
    (Word::FormForeign, "pages of another site may not do this"),
    (
        Word::FormSlow,
        "the content did not come in time: try again",
    ),
    (
        Word::ServerBusy,
        "the server cannot do this now: try again later",
    ),
    (Word::ServerFault, "something went wrong here"),
    (
        Word::TooManyPages,
        "Too many pages for your address: try again later.",
    ),
]);

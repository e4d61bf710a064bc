//! The page's sentences by name.

/// A word or sentence of the page. It is an index into the tables, which are `en.rs`, `zh_hant.rs` and
/// `zh_hans.rs` beside this file: a new one stands here, in its part of the page, and in all three. A table that lacks
/// one does not compile.
#[expect(
    missing_docs,
    reason = "the English table says what each is; a second text would only drift"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The language of the table, as [`Language::tag`](super::Language::tag).
    Tag,

    // The page's script (boot.js) takes these by their order.
    BootWasm,
    BootSocket,
    BootLoad,
    BootLate,
    BootFault,
    BootChanged,
    BootNoAnswer,
    BootOneWaits,
    BootManyWait,
    BootButton,
    BootAgain,
    BootAgainNew,
    BootAgainOnly,

    // The header, and what every page has.
    SkipToInput,
    Language,
    Lobby,

    // The connection.
    Connection,
    Idle,
    Connecting,
    Live,
    Reconnecting,
    Offline,
    Stopped,
    RetryIn,
    RetryOfflineIn,
    Milliseconds,
    RoundTrip,
    Waiting,
    TryNow,
    StopUnsupported,
    StopUnauthorized,
    StopTokenExpired,
    StopDisconnected,
    StopLost,

    // The input box.
    Message,
    Send,
    WriteTo,
    ReadOnly,
    NotTaken,
    PageBusy,
    ServerRefused,
    NotKept,
    OutboxFull,
    NothingToSend,
    TooManyBytes,

    // The server's refusals, by their code.
    BadFrame,
    BadRoom,
    BodyEmpty,
    BodyTooLarge,
    Busy,
    FrameTooLarge,
    HelloExpected,
    NotJoined,
    RateLimited,
    ReadDenied,
    SeqConflict,
    SeqGap,
    TokenExpired,
    TokenInvalid,
    TokenRequired,
    TooManyRooms,
    Unavailable,
    WriteDenied,
    Refused,

    // The messages.
    Messages,
    OlderMessages,
    NewMessage,
    NewMessages,
    Today,
    Yesterday,
    Gap,
    You,
    Removed,
    FateWaiting,
    FateSent,
    FateDurable,
    FateRefused,
    FateHeld,
    FateUncertain,
    SendAgain,
    Drop,
    EditAgain,
    Dismiss,
    ReceivedMessage,
    NothingYet,
    TypingNow,

    // Beside the messages.
    ThisRoomAndOthers,
    YourName,
    Guest,
    PeopleHere,
    AndMore,
    YouMark,
    Rooms,
    GoToRoom,
    Room,
    Go,
    RoomRule,

    // A page that is no room's.
    NoRoom,
    NoRoomText,
    NoPage,
    NoPageText,

    // From here on: only on pages that the server makes. The page does not carry these (see [`Word::CARRIED`]).
    Description,
    Unstyled,
    NoScript,
    SignIn,
    SignInText,
    ClosedRoom,
    ClosedRoomText,
    OneMoment,
    OneMomentText,
    NotSent,
    NotSentWhy,
    YourMessage,
    BackToRoom,
    FormRepeated,
    FormTooLong,
    FormUnread,
    FormForeign,
    FormSlow,
    ServerBusy,
    ServerFault,
    TooManyPages,
}

impl Word {
    /// The number of all words.
    pub(super) const COUNT: usize = Self::TooManyPages as usize + 1;
    /// The number of those, from the first on, that the page carries to the browser.
    pub(super) const CARRIED: usize = Self::Description as usize;
}

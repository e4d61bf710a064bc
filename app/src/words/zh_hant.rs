//! The page in Chinese, in traditional characters, in the words of Taiwan.

use super::Word;
use super::table::{Table, in_order};

/// The table.
pub(super) static TABLE: Table = in_order([
    (Word::Tag, "zh-Hant"),
    // boot.js
    (
        Word::BootWasm,
        "這個瀏覽器不執行 WebAssembly（「封閉模式」會把它關掉），所以這一頁無法自動更新。",
    ),
    (
        Word::BootSocket,
        "這個瀏覽器或其中的擴充功能，擋下了讓這一頁保持最新的連線，所以它不會自動更新。",
    ),
    (
        Word::BootLoad,
        "這一頁有一部分載入失敗，所以它不會自動更新。",
    ),
    (
        Word::BootLate,
        "這一頁還有一部分沒有送到，在那之前它不會自動更新。",
    ),
    (
        Word::BootFault,
        "這一頁因為本身的錯誤而停止，所以它不會自動更新。",
    ),
    (
        Word::BootChanged,
        "有東西（也許是擴充功能）更動了這一頁，新的內容可能沒有全部顯示。",
    ),
    (
        Word::BootNoAnswer,
        "你的訊息沒有送出：伺服器沒有回應。請稍後再送一次。",
    ),
    (
        Word::BootOneWaits,
        "這個瀏覽器裡有 1 則訊息在等待，這一頁恢復運作後就會送出。",
    ),
    (
        Word::BootManyWait,
        "這個瀏覽器裡有 {n} 則訊息在等待，這一頁恢復運作後就會送出。",
    ),
    (Word::BootButton, "你寫的內容，按按鈕就會送出。"),
    (Word::BootAgain, "重新載入"),
    (Word::BootAgainNew, "{again}就能看到新的內容。"),
    (Word::BootAgainOnly, "{again}。"),
    // The header
    (Word::SkipToInput, "跳到輸入框"),
    (Word::Language, "語言"),
    (Word::Lobby, "大廳"),
    // The connection
    (Word::Connection, "連線"),
    (Word::Idle, "未連線"),
    (Word::Connecting, "正在連線"),
    (Word::Live, "已連線"),
    (Word::Reconnecting, "正在重新連線"),
    (Word::Offline, "離線"),
    (Word::Stopped, "已停止：{why}"),
    (Word::RetryIn, "，{n} 秒後再試"),
    (Word::RetryOfflineIn, "，{n} 秒後再試"),
    (Word::Milliseconds, "{n} 毫秒"),
    (Word::RoundTrip, "最近一次來回的時間"),
    (Word::Waiting, "{n} 則等待中"),
    (Word::TryNow, "立即重試"),
    (Word::StopUnsupported, "版本不受支援"),
    (Word::StopUnauthorized, "請先登入"),
    (Word::StopTokenExpired, "請重新登入"),
    (Word::StopDisconnected, "被管理員移出"),
    (Word::StopLost, "已斷線"),
    // The input box
    (Word::Message, "訊息"),
    (Word::Send, "送出"),
    (Word::WriteTo, "在 {room} 說點什麼"),
    (Word::ReadOnly, "你在 {room} 只能看，不能發言"),
    (Word::NotTaken, "沒有送出：{why}。"),
    (Word::PageBusy, "沒有送出：這一頁正忙，請稍等一下再試。"),
    (Word::ServerRefused, "伺服器拒絕了一項要求：{why}。"),
    (
        Word::NotKept,
        "這個瀏覽器存不下更多了：重新載入會失去還沒送出的內容。",
    ),
    (Word::OutboxFull, "等待中的訊息太多，等其中一些送出後再試"),
    (Word::NothingToSend, "沒有內容可以送出"),
    (
        Word::TooManyBytes,
        "這段文字有 {bytes} 個位元組，上限是 {limit} 個",
    ),
    // Refusals
    (Word::BadFrame, "這不是 everbeat.v1 的訊框"),
    (
        Word::BadRoom,
        "聊天室名稱是 1 到 64 個字元，限用 a-z 0-9 - _",
    ),
    (Word::BodyEmpty, "訊息至少要有一個字"),
    (Word::BodyTooLarge, "這段文字超過伺服器可接受的長度"),
    (Word::Busy, "同時進來的人很多，很快就輪到你"),
    (Word::FrameTooLarge, "這個訊框超過伺服器可接受的大小"),
    (
        Word::HelloExpected,
        "第一個訊框必須是 hello，而且只有第一個可以是",
    ),
    (Word::NotJoined, "請先加入聊天室"),
    (Word::RateLimited, "太快了，請稍後再試"),
    (Word::ReadDenied, "你不能讀這個聊天室"),
    (Word::SeqConflict, "這個編號已用在另一則訊息"),
    (Word::SeqGap, "這個編號跳過了前面幾個"),
    (Word::TokenExpired, "你的登入已過期，請重新登入"),
    (Word::TokenInvalid, "你的登入在這裡無效，請重新登入"),
    (Word::TokenRequired, "請先登入"),
    (Word::TooManyRooms, "要加入別的聊天室，請先離開一個"),
    (Word::Unavailable, "伺服器現在無法儲存訊息，請稍後再試"),
    (Word::WriteDenied, "你不能在這個聊天室發言"),
    (Word::Refused, "伺服器拒絕了"),
    // The messages
    (Word::Messages, "訊息列表"),
    (Word::OlderMessages, "更早的訊息"),
    (Word::NewMessage, "1 則新訊息"),
    (Word::NewMessages, "{n} 則新訊息"),
    (Word::Today, "今天"),
    (Word::Yesterday, "昨天"),
    (Word::Gap, "有些訊息找不回來了"),
    (Word::You, "你"),
    (Word::Removed, "已移除"),
    (Word::FateWaiting, "等待中"),
    (Word::FateSent, "已送出"),
    (Word::FateDurable, "已儲存"),
    (Word::FateRefused, "遭拒絕：{why}"),
    (Word::FateHeld, "沒有送出：留在已關閉的頁面裡"),
    (Word::FateUncertain, "不確定：可能已送達，也可能沒有"),
    (Word::SendAgain, "再送一次"),
    (Word::Drop, "捨棄"),
    (Word::EditAgain, "重新編輯"),
    (Word::Dismiss, "清除"),
    (Word::ReceivedMessage, "收到的訊息"),
    (Word::NothingYet, "還沒有訊息"),
    (Word::TypingNow, "正在輸入"),
    // Beside the messages
    (Word::ThisRoomAndOthers, "這個聊天室和其他聊天室"),
    (Word::YourName, "你的名字"),
    (Word::Guest, "訪客"),
    (Word::PeopleHere, "在這裡的人"),
    (Word::AndMore, "還有 {n} 人"),
    (Word::YouMark, "（你）"),
    (Word::Rooms, "聊天室"),
    (Word::GoToRoom, "前往聊天室"),
    (Word::Room, "聊天室名稱"),
    (Word::Go, "前往"),
    (
        Word::RoomRule,
        "聊天室名稱是 1 到 64 個字元，限用 a-z 0-9 - _",
    ),
    // A page that is no room's
    (Word::NoRoom, "沒有叫這個名稱的聊天室"),
    (
        Word::NoRoomText,
        "聊天室名稱是 1 到 64 個字元，限用 a-z 0-9 - _，不含大寫字母和空格。\
        這樣的名稱都是聊天室：選一個，它就在那裡。",
    ),
    (Word::NoPage, "這裡沒有頁面"),
    (
        Word::NoPageText,
        "這個網址沒有內容。每個聊天室都有自己的頁面，網址是 /r/ 加上名稱。",
    ),
    // The server's pages
    (Word::Description, "一個人打字，其他人馬上看見的聊天室。"),
    (
        Word::Unstyled,
        "這一頁少了它的樣式。Everbeat 必須放在主機名稱的根路徑，例如 https://chat.example.org/，\
        不能放在它的某個路徑底下。如果位置沒有錯，請重新載入這一頁。",
    ),
    (
        Word::NoScript,
        "沒有 JavaScript，這一頁不會自動更新：重新載入就能看到新的內容。你寫的內容，按按鈕就會送出。",
    ),
    (Word::SignIn, "請先登入"),
    (
        Word::SignInText,
        "這個聊天室只開放給已登入的人。請到你平常登入的地方登入，再回到這裡。",
    ),
    (Word::ClosedRoom, "這個聊天室沒有對你開放"),
    (
        Word::ClosedRoomText,
        "你不能讀這個聊天室。請向這裡的管理員申請權限。",
    ),
    (Word::OneMoment, "請稍候"),
    (
        Word::OneMomentText,
        "現在無法確認你的身分，請過一分鐘再載入這一頁。",
    ),
    (Word::NotSent, "沒有送出"),
    (Word::NotSentWhy, "你的訊息沒有送出：{why}。"),
    (Word::YourMessage, "你的訊息"),
    (Word::BackToRoom, "回到聊天室"),
    (
        Word::FormRepeated,
        "這份表單之前送過另一段文字。如果這段是新的，現在送出即可",
    ),
    (
        Word::FormTooLong,
        "這段文字太長了：請回上一頁（你的瀏覽器還留著它）縮短後再送",
    ),
    (
        Word::FormUnread,
        "收到的表單不是這一頁送出的樣子：請回上一頁再送一次",
    ),
    (Word::FormForeign, "其他網站的頁面不能這樣做"),
    (Word::FormSlow, "內容沒有及時送到，請再試一次"),
    (Word::ServerBusy, "伺服器現在無法處理，請稍後再試"),
    (Word::ServerFault, "這裡出了錯"),
    (
        Word::TooManyPages,
        "來自你這個位址的頁面請求太多，請稍後再試。",
    ),
]);

//! The page in Chinese, in simplified characters, in the words of the mainland.

use super::Word;
use super::table::{Table, in_order};

/// The table.
pub(super) static TABLE: Table = in_order([
    (Word::Tag, "zh-Hans"),
    // boot.js
    (
        Word::BootWasm,
        "这个浏览器不运行 WebAssembly（“锁定模式”会把它关掉），所以本页无法自动更新。",
    ),
    (
        Word::BootSocket,
        "这个浏览器或其中的扩展程序拦住了让本页保持最新的连接，所以本页不会自动更新。",
    ),
    (Word::BootLoad, "本页有一部分加载失败，所以不会自动更新。"),
    (
        Word::BootLate,
        "本页还有一部分没有到达，在那之前不会自动更新。",
    ),
    (
        Word::BootFault,
        "本页因自身的故障而停止，所以不会自动更新。",
    ),
    (
        Word::BootChanged,
        "有什么东西（也许是扩展程序）改动了本页，新的内容可能没有全部显示。",
    ),
    (
        Word::BootNoAnswer,
        "你的消息没有发出：服务器没有回应。请稍后再发一次。",
    ),
    (
        Word::BootOneWaits,
        "这个浏览器里有 1 条消息在等待，本页恢复运行后就会发出。",
    ),
    (
        Word::BootManyWait,
        "这个浏览器里有 {n} 条消息在等待，本页恢复运行后就会发出。",
    ),
    (Word::BootButton, "你写的内容，点按钮就能发送。"),
    (Word::BootAgain, "重新加载"),
    (Word::BootAgainNew, "{again}就能看到新内容。"),
    (Word::BootAgainOnly, "{again}。"),
    // The header
    (Word::SkipToInput, "跳到输入框"),
    (Word::Language, "语言"),
    (Word::Lobby, "大厅"),
    // The connection
    (Word::Connection, "连接"),
    (Word::Idle, "未连接"),
    (Word::Connecting, "正在连接"),
    (Word::Live, "已连接"),
    (Word::Reconnecting, "正在重新连接"),
    (Word::Offline, "离线"),
    (Word::Stopped, "已停止：{why}"),
    (Word::RetryIn, "，{n} 秒后再试"),
    (Word::RetryOfflineIn, "，{n} 秒后再试"),
    (Word::Milliseconds, "{n} 毫秒"),
    (Word::RoundTrip, "最近一次往返的时间"),
    (Word::Waiting, "{n} 条等待中"),
    (Word::TryNow, "立即重试"),
    (Word::StopUnsupported, "版本不受支持"),
    (Word::StopUnauthorized, "请先登录"),
    (Word::StopTokenExpired, "请重新登录"),
    (Word::StopDisconnected, "被管理员移出"),
    (Word::StopLost, "已断线"),
    // The input box
    (Word::Message, "消息"),
    (Word::Send, "发送"),
    (Word::WriteTo, "在 {room} 说点什么"),
    (Word::ReadOnly, "你在 {room} 只能看，不能发言"),
    (Word::NotTaken, "没有发出：{why}。"),
    (Word::PageBusy, "没有发出：本页正忙，请稍等一下再试。"),
    (Word::ServerRefused, "服务器拒绝了一项请求：{why}。"),
    (
        Word::NotKept,
        "这个浏览器存不下更多了：重新加载会丢失还没发出的内容。",
    ),
    (Word::OutboxFull, "等待中的消息太多，等其中一些发出后再试"),
    (Word::NothingToSend, "没有可以发送的内容"),
    (
        Word::TooManyBytes,
        "这段文字有 {bytes} 个字节，上限是 {limit} 个",
    ),
    // Refusals
    (Word::BadFrame, "这不是 everbeat.v1 的帧"),
    (
        Word::BadRoom,
        "聊天室名称是 1 到 64 个字符，限用 a-z 0-9 - _",
    ),
    (Word::BodyEmpty, "消息至少要有一个字"),
    (Word::BodyTooLarge, "这段文字超过服务器可接受的长度"),
    (Word::Busy, "同时进来的人很多，很快就轮到你"),
    (Word::FrameTooLarge, "这个帧超过服务器可接受的大小"),
    (
        Word::HelloExpected,
        "第一个帧必须是 hello，而且只有第一个可以是",
    ),
    (Word::NotJoined, "请先加入聊天室"),
    (Word::RateLimited, "太快了，请稍后再试"),
    (Word::ReadDenied, "你不能读这个聊天室"),
    (Word::SeqConflict, "这个编号已用于另一条消息"),
    (Word::SeqGap, "这个编号跳过了前面几个"),
    (Word::TokenExpired, "你的登录已过期，请重新登录"),
    (Word::TokenInvalid, "你的登录在这里无效，请重新登录"),
    (Word::TokenRequired, "请先登录"),
    (Word::TooManyRooms, "要加入别的聊天室，请先离开一个"),
    (Word::Unavailable, "服务器现在无法保存消息，请稍后再试"),
    (Word::WriteDenied, "你不能在这个聊天室发言"),
    (Word::Refused, "服务器拒绝了"),
    // The messages
    (Word::Messages, "消息列表"),
    (Word::OlderMessages, "更早的消息"),
    (Word::NewMessage, "1 条新消息"),
    (Word::NewMessages, "{n} 条新消息"),
    (Word::Today, "今天"),
    (Word::Yesterday, "昨天"),
    (Word::Gap, "有些消息找不回来了"),
    (Word::You, "你"),
    (Word::Removed, "已移除"),
    (Word::FateWaiting, "等待中"),
    (Word::FateSent, "已发出"),
    (Word::FateDurable, "已保存"),
    (Word::FateRefused, "被拒绝：{why}"),
    (Word::FateHeld, "没有发出：留在已关闭的页面里"),
    (Word::FateUncertain, "不确定：可能已送达，也可能没有"),
    (Word::SendAgain, "再发一次"),
    (Word::Drop, "丢弃"),
    (Word::EditAgain, "重新编辑"),
    (Word::Dismiss, "清除"),
    (Word::ReceivedMessage, "收到的消息"),
    (Word::NothingYet, "还没有消息"),
    (Word::TypingNow, "正在输入"),
    // Beside the messages
    (Word::ThisRoomAndOthers, "这个聊天室和其他聊天室"),
    (Word::YourName, "你的名字"),
    (Word::Guest, "访客"),
    (Word::PeopleHere, "在这里的人"),
    (Word::AndMore, "还有 {n} 人"),
    (Word::YouMark, "（你）"),
    (Word::Rooms, "聊天室"),
    (Word::GoToRoom, "前往聊天室"),
    (Word::Room, "聊天室名称"),
    (Word::Go, "前往"),
    (
        Word::RoomRule,
        "聊天室名称是 1 到 64 个字符，限用 a-z 0-9 - _",
    ),
    // A page that is no room's
    (Word::NoRoom, "没有叫这个名称的聊天室"),
    (
        Word::NoRoomText,
        "聊天室名称是 1 到 64 个字符，限用 a-z 0-9 - _，不含大写字母和空格。\
        这样的名称都是聊天室：选一个，它就在那里。",
    ),
    (Word::NoPage, "这里没有页面"),
    (
        Word::NoPageText,
        "这个网址没有内容。每个聊天室都有自己的页面，网址是 /r/ 加上名称。",
    ),
    // The server's pages
    (Word::Description, "一个人打字，其他人马上看见的聊天室。"),
    (
        Word::Unstyled,
        "本页缺少样式。Everbeat 必须放在主机名的根路径，例如 https://chat.example.org/，\
        不能放在它的某个路径之下。如果位置没有错，请重新加载本页。",
    ),
    (
        Word::NoScript,
        "没有 JavaScript，本页不会自动更新：重新加载就能看到新内容。你写的内容，点按钮就能发送。",
    ),
    (Word::SignIn, "请先登录"),
    (
        Word::SignInText,
        "这个聊天室只对已登录的人开放。请到你平时登录的地方登录，再回到这里。",
    ),
    (Word::ClosedRoom, "这个聊天室没有对你开放"),
    (
        Word::ClosedRoomText,
        "你不能读这个聊天室。请向这里的管理员申请权限。",
    ),
    (Word::OneMoment, "请稍候"),
    (
        Word::OneMomentText,
        "现在无法确认你的身份，请过一分钟再加载本页。",
    ),
    (Word::NotSent, "没有发出"),
    (Word::NotSentWhy, "你的消息没有发出：{why}。"),
    (Word::YourMessage, "你的消息"),
    (Word::BackToRoom, "回到聊天室"),
    (
        Word::FormRepeated,
        "这份表单之前发过另一段文字。如果这段是新的，现在发送即可",
    ),
    (
        Word::FormTooLong,
        "这段文字太长了：请返回上一页（你的浏览器还留着它）缩短后再发",
    ),
    (
        Word::FormUnread,
        "收到的表单不是本页发出的样子：请返回上一页再发一次",
    ),
    (Word::FormForeign, "其他网站的页面不能这样做"),
    (Word::FormSlow, "内容没有及时到达，请再试一次"),
    (Word::ServerBusy, "服务器现在无法处理，请稍后再试"),
    (Word::ServerFault, "这里出了错"),
    (
        Word::TooManyPages,
        "来自你这个地址的页面请求太多，请稍后再试。",
    ),
]);

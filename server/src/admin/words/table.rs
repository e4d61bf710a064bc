//! The table of sentences: a word, then its text in English, in traditional and in simplified Chinese characters.

use everbeat_axum::metrics::Cause;

/// Makes [`Word`] and its texts: a sentence without a translation does not compile.
macro_rules! words {
    ($($word:ident: $en:literal, $hant:literal, $hans:literal;)*) => {
        /// A sentence, by its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::admin) enum Word {
            $(#[doc = $en] $word,)*
        }

        impl Word {
            /// All sentences.
            #[cfg(test)]
            pub(in crate::admin) const ALL: &'static [Self] = &[$(Self::$word,)*];

            /// Its texts, in the order of `Language::ALL`.
            pub(in crate::admin) const fn texts(self) -> [&'static str; 3] {
                match self {
                    $(Self::$word => [$en, $hant, $hans],)*
                }
            }
        }
    };
}

words! {
    // The page.
    Title: "Status · Everbeat", "狀態 · Everbeat", "状态 · Everbeat";
    Language: "Language", "語言", "语言";
    AsOf: "as of {time}", "截至 {time}", "截至 {time}";
    AsOfAgo: "as of {n} s ago", "{n} 秒前的狀態", "{n} 秒前的状态";
    Stale: "The server has sent nothing for 10 s: these figures may be wrong.", "伺服器已有 10 秒沒有回報：以下數字可能不正確。", "服务器已有 10 秒没有回报：以下数字可能不正确。";
    FreshAgain: "The server reports again.", "伺服器恢復回報。", "服务器恢复回报。";
    Pause: "Pause", "暫停", "暂停";
    Paused: "paused, {n} s ago", "已暫停，{n} 秒前的狀態", "已暂停，{n} 秒前的状态";
    ReloadByHand: "Without its script this page does not change by itself: reload it.", "未啟用指令碼，本頁不會自動更新：請重新整理。", "未启用脚本，本页不会自动更新：请刷新。";
    Back: "Back to all", "回到總覽", "返回总览";

    // Units.
    Milliseconds: "{n} ms", "{n} 毫秒", "{n} 毫秒";
    Seconds: "{n} s", "{n} 秒", "{n} 秒";
    Minutes: "{n} min", "{n} 分鐘", "{n} 分钟";
    Hours: "{n} h", "{n} 小時", "{n} 小时";
    Days: "{n} d", "{n} 天", "{n} 天";
    Ago: "{time} ago", "{time}前", "{time}前";
    Unknown: "unknown", "未知", "未知";

    // The health strip.
    Health: "Health", "健康狀況", "健康状况";
    State: "state", "狀態", "状态";
    Ready: "Ready", "就緒", "就绪";
    NotReady: "Not ready: {why}", "未就緒：{why}", "未就绪：{why}";
    NoFile: "no file can be opened", "無法再開啟檔案", "无法再打开文件";
    CannotStore: "the log cannot store", "紀錄無法寫入", "日志无法写入";
    Draining: "Draining: no new connections are taken.", "正在排空：不接受新連線。", "正在排空：不接受新连接。";
    DrainLeft: "{time} left", "剩 {time}", "剩 {time}";
    Version: "version", "版本", "版本";
    Uptime: "uptime", "已執行", "已运行";
    DiskFree: "disk free", "磁碟可用", "磁盘可用";
    DiskOf: "{free} of {total}", "{free}，共 {total}", "{free}，共 {total}";
    LogSize: "log", "紀錄大小", "日志大小";
    Connected: "connected sessions", "已連線的工作階段", "已连接的会话";
    Away: "sessions that can be resumed", "可恢復的工作階段", "可恢复的会话";
    Connections: "Connections", "連線", "连接";
    ConnectionsNow: "connections", "連線", "连接";
    ConnectionsOf: "{n} of at most {limit}", "{n}，上限 {limit}", "{n}，上限 {limit}";
    RoomsInUse: "rooms in use", "使用中的聊天室", "使用中的聊天室";

    // The nodes of a cluster.
    Nodes: "Nodes", "節點", "节点";
    NodeSummary: "This is node {node}, {phase}: pack {applied} of {last} is folded.", "這是節點 {node}（{phase}）：{last} 個封包已套用到第 {applied} 個。", "这是节点 {node}（{phase}）：{last} 个数据包已应用到第 {applied} 个。";
    NodeTrouble: "Not ready: {why}.", "未就緒：{why}。", "未就绪：{why}。";
    Node: "node", "節點", "节点";
    NodeLive: "live", "運作中", "运行中";
    NodeDraining: "draining", "正在排空", "正在排空";
    Folded: "folded", "已套用", "已应用";
    Lag: "behind", "落後", "落后";
    Digest: "digest", "摘要", "摘要";
    Heard: "heard", "最近回報", "最近回报";
    Address: "address", "位址", "地址";

    // Connections.
    Find: "Find", "尋找", "查找";
    FindWhat: "Name, room, address or session", "名稱、聊天室、位址或工作階段", "名称、聊天室、地址或会话";
    All: "All", "全部", "全部";
    Found: "{n} of {all} connections match.", "{all} 個連線中有 {n} 個符合。", "{all} 个连接中有 {n} 个符合。";
    NoneFound: "No connection matches.", "沒有符合的連線。", "没有符合的连接。";
    NoConnections: "There are no connections.", "沒有連線。", "没有连接。";
    Capped: "The first {n} in this order are shown.", "只顯示此排序的前 {n} 個。", "只显示此排序的前 {n} 个。";
    AskedInTime: "The server is busy: only the newest {n} were looked at.", "伺服器忙碌：只查看了最新的 {n} 個。", "服务器忙碌：只查看了最新的 {n} 个。";
    Session: "session", "工作階段", "会话";
    Name: "name", "名稱", "名称";
    RoundTrip: "round trip", "往返時間", "往返时间";
    LastSeen: "last seen", "最近收到", "最近收到";
    OpenFor: "open for", "已開啟", "已打开";
    Rooms: "rooms", "聊天室", "聊天室";
    MoreRooms: "{rooms} and {n} more", "{rooms}，另 {n} 個", "{rooms}，另 {n} 个";
    SortBy: "Sort by {column}", "依{column}排序", "按{column}排序";
    Pages: "Pages", "分頁", "分页";
    PageOf: "Page {n} of {pages}", "第 {n} 頁，共 {pages} 頁", "第 {n} 页，共 {pages} 页";
    Previous: "Previous", "上一頁", "上一页";
    Next: "Next", "下一頁", "下一页";
    Connection: "connection {n}", "連線 {n}", "连接 {n}";
    Live: "live", "已連線", "已连接";
    Busy: "busy", "忙碌", "忙碌";
    BeforeHello: "before hello", "尚未 hello", "尚未 hello";
    Tutorial: "tutorial", "教學頁", "教程页";
    Events: "events", "事件串流", "事件流";
    Trace: "trace", "追蹤", "追踪";

    // A session's page.
    SessionTitle: "Session {session}", "工作階段 {session}", "会话 {session}";
    NotConnected: "This session has no connection here.", "此工作階段目前沒有連線。", "此会话目前没有连接。";
    Subject: "subject", "主體", "主体";
    OnConnection: "connection", "連線", "连接";
    Actions: "Actions", "操作", "操作";
    Reconnect: "Reconnect…", "重新連線…", "重新连接…";
    ReconnectMeaning: "The connection is closed with 1012. The client comes back by itself within moments and resumes its session: nothing is lost.", "以 1012 關閉連線。用戶端稍後會自行重新連線並恢復工作階段，訊息不會遺失。", "以 1012 关闭连接。客户端稍后会自行重新连接并恢复会话，消息不会丢失。";
    ReconnectNow: "Yes, reconnect it", "確定重新連線", "确定重新连接";
    Remove: "Remove…", "移除…", "移除…";
    RemoveMeaning: "The connection is closed with 4203. The client stays away until its user acts, and is then served again: this is no ban.", "以 4203 關閉連線。使用者採取動作前，用戶端不會自行回來；之後仍可再次連線：這不是封鎖。", "以 4203 关闭连接。用户采取操作前，客户端不会自行回来；之后仍可再次连接：这不是封禁。";
    RemoveNow: "Yes, remove it", "確定移除", "确定移除";

    // Charts.
    Charts: "Charts", "圖表", "图表";
    FiveMinutes: "5 minutes", "5 分鐘", "5 分钟";
    OneHour: "1 hour", "1 小時", "1 小时";
    Now: "now", "現在", "现在";
    ChartSessions: "Sessions", "工作階段", "会话";
    AwayNow: "away", "離線", "离线";
    ChartReturns: "Returns, by cause", "重新連線，依原因", "重新连接，按原因";
    CauseUnseen: "client noticed first", "用戶端先察覺", "客户端先察觉";
    CauseSilent: "silent connection", "連線無回應", "连接无响应";
    CauseBroken: "broken connection", "連線中斷", "连接中断";
    CauseLeft: "client had left", "用戶端曾離開", "客户端曾离开";
    CauseClosed: "server had closed", "伺服器曾關閉", "服务器曾关闭";
    CauseUnknown: "before this server's start, or long ago", "本伺服器啟動前或很久以前", "本服务器启动前或很久以前";
    ChartRoundTrip: "Round trip, ms", "往返時間（毫秒）", "往返时间（毫秒）";
    ChartCommit: "Commit of the log, ms", "紀錄寫入時間（毫秒）", "日志写入时间（毫秒）";
    Median: "median", "中位數", "中位数";
    Of95: "95 % within", "95% 不超過", "95% 不超过";
    Of99: "99 % within", "99% 不超過", "99% 不超过";
    ChartMessages: "Messages per second", "每秒訊息", "每秒消息";
    Stored: "stored", "寫入", "写入";
    Delivered: "delivered", "遞送", "投递";
    ChartRefusals: "Refusals", "拒絕", "拒绝";
    Errors: "errors sent", "已回傳錯誤", "已返回错误";
    LimitsMet: "limits exceeded", "超過限制", "超过限制";
    ChartInWords: "{what}. {lines}", "{what}。{lines}", "{what}。{lines}";
    LineInWords: "{what} {n}, at most {top}", "{what} {n}，最高 {top}", "{what} {n}，最高 {top}";

    // Rooms.
    RoomsTitle: "Rooms", "聊天室", "聊天室";
    Room: "room", "聊天室", "聊天室";
    Members: "members", "成員", "成员";
    Head: "messages so far", "累計訊息", "累计消息";
    Rate: "messages per second", "每秒訊息", "每秒消息";
    NoRooms: "No room is in use.", "沒有使用中的聊天室。", "没有使用中的聊天室。";
    MoreRoomsInUse: "Those with the most members; {n} more.", "成員最多的聊天室；另有 {n} 個。", "成员最多的聊天室；另有 {n} 个。";

    // Events.
    EventsTitle: "Events", "事件", "事件";
    EventsNote: "The newest {n} at most; times in UTC.", "最多顯示最新 {n} 筆；時間為 UTC。", "最多显示最新 {n} 条；时间为 UTC。";
    NoEvents: "Nothing happened yet.", "尚無事件。", "尚无事件。";
    EventOpened: "session opened:", "開啟工作階段：", "打开会话：";
    EventResumed: "session resumed ({why}):", "恢復工作階段（{why}）：", "恢复会话（{why}）：";
    EventNotResumed: "session opened, as the old one could not be resumed:", "舊工作階段無法恢復，已開啟新的：", "旧会话无法恢复，已打开新的：";
    EventEnded: "connection ended, {why} ({code}):", "連線結束，{why}（{code}）：", "连接结束，{why}（{code}）：";
    EventReconnected: "an operator lets reconnect:", "管理員要求重新連線：", "管理员要求重新连接：";
    EventRemoved: "an operator removes:", "管理員移除：", "管理员移除：";
    EventDrain: "the server drains", "伺服器開始排空", "服务器开始排空";
    EventNodeUp: "node {node} is live", "節點 {node} 上線", "节点 {node} 上线";
    EventNodeDown: "node {node} is not live any more", "節點 {node} 失聯", "节点 {node} 失联";
    EndLeft: "closed by the client", "由用戶端關閉", "由客户端关闭";
    EndBroke: "it broke", "連線中斷", "连接中断";
    EndSilent: "nothing was received in time", "逾時未收到任何訊息", "超时未收到任何消息";
    EndSlow: "the client reads too slowly", "用戶端讀取過慢", "客户端读取过慢";
    EndRestart: "to reconnect", "要求重新連線", "要求重新连接";
    EndTakenOver: "resumed on another connection", "已由另一連線恢復", "已由另一连接恢复";
    EndRemoved: "removed by an operator", "由管理員移除", "由管理员移除";
    EndDenied: "not permitted", "未獲授權", "未获授权";
    EndOther: "closed by the server", "由伺服器關閉", "由服务器关闭";
}

impl Word {
    /// The words for why a session came back.
    pub(in crate::admin) const fn of_cause(cause: Cause) -> Self {
        match cause {
            Cause::Unseen => Self::CauseUnseen,
            Cause::Silent => Self::CauseSilent,
            Cause::Broken => Self::CauseBroken,
            Cause::Left => Self::CauseLeft,
            Cause::Closed => Self::CauseClosed,
            Cause::Unknown => Self::CauseUnknown,
        }
    }
}

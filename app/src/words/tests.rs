//! The tables, and the sentences that are made of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use protocol::client::{Cause, Event};
use protocol::time::Timestamp;
use view::Report;

use super::*;

const EN: Words = Words::of(Language::En);

/// Characters that differ, each as the traditional one and the simplified one: common ones, and those that the page
/// uses. Left out are simplified ones that are traditional ones, too, of another word (后, 里, 只, …).
const PAIRS: &str = "\
    這这 個个 們们 來来 說说 話话 讓让 請请 誰谁 誤误 讀读 設设 訊讯 認认 試试 調调 許许 證证 識识 語语 詞词 該该 詳详 誠诚 課课 談谈 論论 議议 記记 計计 訂订 訪访 評评 診诊 訓训 變变 對对 時时 \
    間间 門门 開开 關关 閉闭 問问 聞闻 閱阅 閃闪 隊队 陽阳 陰阴 陳陈 險险 隨随 隱隐 際际 陸陆 階阶 難难 離离 雜杂 雙双 雞鸡 電电 靈灵 靜静 頁页 頂顶 項项 順顺 預预 領领 頭头 題题 額额 顏颜 願愿 \
    類类 顯显 風风 飛飞 飯饭 飲饮 館馆 馬马 驗验 驚惊 騙骗 鬥斗 魚鱼 鳥鸟 麥麦 麼么 黃黄 點点 齊齐 齒齿 龍龙 龜龟 為为 無无 與与 於于 並并 萬万 從从 後后 裡里 裏里 進进 過过 運运 還还 邊边 連连 \
    遠远 達达 適适 選选 遞递 遲迟 遺遗 邏逻 鄰邻 鄉乡 醫医 釋释 針针 鈕钮 鈴铃 錯错 錄录 錢钱 鍵键 鎖锁 鏈链 鏡镜 鐘钟 長长 動动 務务 勝胜 勞劳 勢势 區区 協协 單单 廳厅 歷历 壓压 參参 發发 嗎吗 \
    員员 啟启 嘗尝 嚴严 囑嘱 國国 圍围 園园 圓圆 圖图 團团 執执 場场 塊块 壞坏 壯壮 聲声 處处 備备 夠够 夾夹 奪夺 妳你 婦妇 媽妈 學学 實实 寫写 審审 寬宽 寶宝 將将 尋寻 導导 專专 屆届 層层 屬属 \
    岡冈 島岛 幣币 帶带 幫帮 幹干 幾几 庫库 廠厂 廣广 廢废 張张 強强 彈弹 彙汇 彌弥 當当 徑径 復复 徵征 應应 態态 懷怀 憶忆 懶懒 戲戏 戰战 戶户 拋抛 擋挡 擔担 據据 擴扩 擺摆 擾扰 攜携 攝摄 攔拦 \
    敗败 敵敌 數数 斷断 曉晓 暫暂 會会 書书 東东 條条 極极 構构 標标 樣样 樓楼 樹树 橋桥 機机 檔档 檢检 欄栏 權权 歡欢 歲岁 歸归 殘残 殺杀 氣气 決决 況况 沒没 淚泪 淨净 測测 渾浑 湊凑 準准 溝沟 \
    溫温 滅灭 滿满 漢汉 漲涨 漸渐 潔洁 潛潜 濕湿 濟济 濾滤 瀏浏 灣湾 災灾 烏乌 煩烦 熱热 燈灯 燒烧 爭争 爺爷 牆墙 狀状 獨独 獲获 獎奖 現现 環环 產产 畢毕 畫画 異异 療疗 瘋疯 癢痒 盡尽 監监 盤盘 \
    眾众 睜睁 瞭了 矚瞩 確确 碼码 磚砖 禮礼 禍祸 種种 稱称 積积 穩稳 窮穷 竊窃 競竞 筆笔 節节 範范 築筑 簡简 簽签 籌筹 糧粮 糾纠 紀纪 約约 紅红 級级 紋纹 納纳 紙纸 純纯 細细 終终 組组 結结 絕绝 \
    給给 絡络 統统 絲丝 經经 綠绿 維维 網网 緊紧 線线 緒绪 編编 緩缓 練练 縮缩 總总 織织 繞绕 繪绘 繫系 繼继 續续 纜缆 罰罚 罷罢 羅罗 義义 習习 聯联 職职 聰聪 聽听 肅肃 腦脑 膚肤 臉脸 臨临 舉举 \
    舊旧 艦舰 藝艺 華华 葉叶 蓋盖 藍蓝 藥药 蘇苏 虛虚 號号 蟲虫 術术 衝冲 衛卫 裝装 複复 規规 視视 覽览 覺觉 觀观 觸触 訴诉 詢询 貓猫 貝贝 負负 財财 貨货 貫贯 責责 費费 貼贴 資资 賓宾 賞赏 賣卖 \
    質质 賴赖 購购 贈赠 贏赢 趙赵 趕赶 趨趋 跡迹 踐践 蹤踪 躍跃 車车 軌轨 軍军 軟软 較较 載载 輔辅 輕轻 輛辆 輪轮 輯辑 輸输 轉转 轟轰 辦办 辭辞 農农 傳传 債债 傷伤 傾倾 僅仅 價价 億亿 優优 儲储 \
    兒儿 內内 兩两 冊册 凍冻 劃划 則则 剛刚 創创 刪删 別别 劇剧 劍剑 劑剂 勵励 勸劝 匯汇 卻却 厲厉 嚇吓 嘆叹 噴喷 嚨咙 壘垒 塵尘 墊垫 夢梦 奮奋 奧奥 孫孙 宮宫 尷尴 屍尸 嶺岭 帥帅 師师 帳帐 廟庙 \
    彎弯 徹彻 慣惯 憂忧 憑凭 懸悬 戀恋 掃扫 掛挂 採采 揚扬 換换 損损 搶抢 擇择 擊击 擠挤 擬拟 攏拢 攤摊 敘叙 斃毙 斂敛 斬斩 晝昼 暢畅 樂乐 槍枪 樁桩 檯台 臺台 歐欧 氈毡 滾滚 漁渔 瑣琐 瓊琼 甦苏 \
    疊叠 痙痉 皺皱 盜盗 矯矫 礎础 禦御 禿秃 穀谷 竄窜 筍笋 籤签 紮扎 絞绞 綁绑 綜综 緣缘 縱纵 繳缴 纖纤 聾聋 脅胁 脫脱 腫肿 膠胶 臟脏 艙舱 薦荐 蘿萝 蝦虾 褲裤 襲袭 誌志 諒谅 謊谎 謝谢 謹谨 譜谱 \
    譯译 護护 豐丰 貿贸 賠赔 軸轴 遷迁 鄭郑 釘钉 銀银 銷销 鋒锋 錦锦 鑽钻 閣阁 陣阵 雖虽 霧雾 韓韩 頓顿 頻频 飄飘 餘余 餓饿 駐驻 駛驶 騎骑 鬆松 鬧闹 鹽盐 麗丽 黨党 啓启 淺浅 揀拣 貳贰 牠它 佔占 \
    週周 洩泄 佈布 著着 棄弃 見见 須须 幀帧";

/// Simplified characters that are also traditional ones.
const SHARED: &str = "后里只台系面云余于干几了复征准谷志舍叶制注致并采冲扎御签松布占周泄着你它尸才板回困克表丑斗卷吁借";

fn pairs() -> impl Iterator<Item = (char, char)> {
    PAIRS.split_whitespace().map(|pair| {
        let mut both = pair.chars();
        let pair = both.next().zip(both.next());
        assert!(both.next().is_none());
        pair.expect("a pair")
    })
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    let mut parts = text.split(['{', '}']);
    let mut found = BTreeSet::new();
    parts.next();
    while let Some(name) = parts.next() {
        found.insert(name);
        assert!(parts.next().is_some(), "{text}");
    }
    found
}

#[test]
fn a_sentence_has_the_same_placeholders_in_every_language() {
    for language in Language::ALL {
        let words = Words::of(language);
        assert_eq!(words.language(), language);
        for (english, text) in EN.table.iter().zip(words.table) {
            assert_eq!(placeholders(english), placeholders(text), "{text}");
            assert!(!text.contains('\n'), "a line each: {text}");
        }
    }
}

#[test]
fn each_chinese_table_has_its_own_characters() {
    let traditional: BTreeSet<char> = pairs().map(|(old, _)| old).collect();
    let simplified: BTreeSet<char> = pairs()
        .map(|(_, new)| new)
        .filter(|new| !SHARED.contains(*new) && !pairs().any(|(old, _)| old == *new))
        .collect();
    let odd = |language, others: &BTreeSet<char>| {
        let texts = Words::of(language).table.iter();
        let characters = texts.flat_map(|text| text.chars());
        characters
            .filter(|character| others.contains(character))
            .collect::<String>()
    };
    assert_eq!(odd(Language::ZhHant, &simplified), "");
    assert_eq!(odd(Language::ZhHans, &traditional), "");
    // The lists are of use: each table has characters that the other may not have.
    assert!(odd(Language::ZhHant, &traditional).chars().count() > 100);
    assert!(odd(Language::ZhHans, &simplified).chars().count() > 100);
}

/// In Chinese the punctuation is Chinese, too, but for a range of characters, an address and the like.
#[test]
fn chinese_sentences_have_chinese_punctuation() {
    for language in [Language::ZhHant, Language::ZhHans] {
        for text in Words::of(language).table {
            let is_chinese = |character: char| !character.is_ascii();
            let characters: Vec<char> = text.chars().collect();
            for around in characters.windows(2) {
                let [before, after] = around else { continue };
                let is_odd =
                    is_chinese(*before) && matches!(after, ',' | '.' | ':' | ';' | '?' | '!');
                assert!(!is_odd, "{text}");
            }
        }
    }
}

#[test]
fn a_page_carries_its_words_as_lines() {
    for language in Language::ALL {
        let words = Words::of(language);
        let carried = Words::carried(words.lines());
        assert_eq!(carried.language(), language);
        assert_eq!(carried.table, &words.table[..Word::CARRIED]);
        assert_eq!(carried.text(Word::Send), words.text(Word::Send));
        // Only on the server's pages.
        assert_eq!(carried.text(Word::NoScript), "");
    }
}

/// A sentence within a component would stay English on every page.
#[test]
fn no_component_holds_a_sentence() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for folder in ["components", "pages"] {
        for file in fs::read_dir(source.join(folder)).unwrap() {
            let path = file.unwrap().path();
            for line in fs::read_to_string(&path).unwrap().lines() {
                assert!(!says_something(line), "{}: {line}", path.display());
            }
            read += 1;
        }
    }
    assert!(read > 10);
    for line in crate::BOOT.lines() {
        assert!(!says_something(&line.replace(['\'', '`'], "\"")), "{line}");
    }
    assert!(says_something("<h2>\"People here\"</h2>"));
    assert!(says_something("                \"Send\""));
}

/// Whether a line of source has a literal with a sentence: one that begins with a capital and has a space, or one that
/// is a text node. A sentence of small letters is not found.
fn says_something(line: &str) -> bool {
    let line = line.trim();
    let is_sentence = |literal: &str| {
        let is_alone = line == format!("\"{literal}\"");
        literal.starts_with(|first: char| first.is_ascii_uppercase())
            && literal != "Everbeat"
            && (literal.contains(' ') || is_alone)
    };
    !line.starts_with("//") && line.split('"').skip(1).step_by(2).any(is_sentence)
}

/// The script within the page takes its words by their order.
#[test]
fn the_pages_script_names_its_words_in_their_order() {
    let (_, names) = crate::BOOT.split_once("const [").unwrap();
    let (names, _) = names.split_once("] = words.split(").unwrap();
    let named: Vec<&str> = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let shouted = |word: &str| {
        let mut name = String::new();
        for character in word.chars() {
            if character.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(character.to_ascii_uppercase());
        }
        name
    };
    let words = [
        Word::Tag,
        Word::BootWasm,
        Word::BootSocket,
        Word::BootLoad,
        Word::BootLate,
        Word::BootFault,
        Word::BootChanged,
        Word::BootNoAnswer,
        Word::BootOneWaits,
        Word::BootManyWait,
        Word::BootButton,
        Word::BootAgain,
        Word::BootAgainNew,
        Word::BootAgainOnly,
    ];
    let expected: Vec<String> = words
        .iter()
        .map(|word| shouted(&format!("{word:?}")))
        .collect();
    assert_eq!(named, expected);
    for (index, word) in words.into_iter().enumerate() {
        assert_eq!(word as usize, index);
    }
}

#[test]
fn placeholders_are_filled_once() {
    let table: &[&str] = &["{a} and {b}: {a}{c}.", "{", "}{a"];
    let words = Words { table };
    let filled = words.fill(Word::Tag, &[("a", "{b}"), ("b", "2")]);
    assert_eq!(filled, "{b} and 2: {b}.");
    assert_eq!(words.fill(Word::BootWasm, &[]), "{");
    assert_eq!(words.fill(Word::BootSocket, &[("a", "1")]), "}{a");
    assert_eq!(EN.count(Word::AndMore, 7), "and 7 more");
}

fn linked(status: Status, retry_in: Option<Duration>) -> Link {
    let mut link = Link::default();
    link.fold(&Report::Status { status, retry_in });
    link
}

fn waiting(offline: bool, retry_in: Duration) -> Link {
    let status = Status::Waiting {
        until: Timestamp::ZERO,
        cause: Cause::NoAnswer,
        attempt: 1,
        offline,
        ceiling: (!offline).then_some(Duration::from_secs(4)),
    };
    linked(status, Some(retry_in))
}

fn shown(link: &Link, language: Language) -> String {
    let words = Words::of(language);
    status(link, words) + &countdown(link, words)
}

#[test]
fn a_wait_is_counted_down() {
    let link = waiting(false, Duration::from_millis(2300));
    assert_eq!(shown(&link, Language::En), "Reconnecting in 3 s");
    assert_eq!(shown(&link, Language::ZhHant), "正在重新連線，3 秒後再試");
    assert_eq!(shown(&link, Language::ZhHans), "正在重新连接，3 秒后再试");
    assert_eq!(state(&link), "waiting");
    let link = waiting(true, Duration::from_secs(20));
    assert_eq!(shown(&link, Language::En), "Offline, trying again in 20 s");
    assert_eq!(state(&link), "offline");
}

/// In English the page says what the server does, in any language what the code says.
#[test]
fn a_refusal_is_said_by_its_code() {
    for code in [
        ErrorCode::BadFrame,
        ErrorCode::BadRoom,
        ErrorCode::BodyEmpty,
        ErrorCode::BodyTooLarge,
        ErrorCode::Busy,
        ErrorCode::FrameTooLarge,
        ErrorCode::HelloExpected,
        ErrorCode::NotJoined,
        ErrorCode::RateLimited,
        ErrorCode::ReadDenied,
        ErrorCode::SeqConflict,
        ErrorCode::SeqGap,
        ErrorCode::TokenExpired,
        ErrorCode::TokenInvalid,
        ErrorCode::TokenRequired,
        ErrorCode::TooManyRooms,
        ErrorCode::Unavailable,
        ErrorCode::WriteDenied,
        ErrorCode::Unknown,
    ] {
        assert_eq!(EN.text(refusal(code)), code.message());
    }
    let refused = Alert::Refused(ErrorCode::ReadDenied);
    let hant = Words::of(Language::ZhHant);
    assert_eq!(
        alert(&refused, hant),
        "伺服器拒絕了一項要求：你不能讀這個聊天室。"
    );
    assert_eq!(
        alert(&refused, EN),
        "The server refused something: you may not read this room."
    );
}

#[test]
fn what_the_outbox_does_not_take_is_said_with_numbers() {
    for error in [
        PublishError::OutboxFull,
        PublishError::Empty,
        PublishError::TooLarge {
            bytes: 9000,
            limit: 8192,
        },
    ] {
        let said = alert(&Alert::NotTaken(error), EN);
        assert_eq!(said, format!("Not sent: {error}."));
    }
}

#[test]
fn a_round_trip_is_in_milliseconds() {
    let mut link = Link::default();
    assert_eq!(round_trip(&link, EN), "");
    let rtt = Some(Duration::from_micros(2_012_900));
    link.fold(&Report::Event(Event::Beat { rtt }));
    assert_eq!(round_trip(&link, EN), "2012 ms");
}

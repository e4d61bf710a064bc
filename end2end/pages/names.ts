// The names by which tests find the parts of a room's page, in each language of the page.

export interface Names {
  message: string;
  send: string;
  received: string;
  messages: string;
  typing: string;
  people: string;
  connection: string;
  tryNow: string;
  name: string;
  older: string;
  room: string;
  go: string;
  waiting: (count: number) => string;
}

export type Language = 'en' | 'zh-Hant' | 'zh-Hans';

export const NAMES: Record<Language, Names> = {
  en: {
    message: 'Message',
    send: 'Send',
    received: 'Received message',
    messages: 'Messages',
    typing: 'Typing now',
    people: 'People here',
    connection: 'Connection',
    tryNow: 'Try now',
    name: 'Your name',
    older: 'Older messages',
    room: 'Room',
    go: 'Go',
    waiting: (count) => `${count} waiting`,
  },
  'zh-Hant': {
    message: '訊息',
    send: '送出',
    received: '收到的訊息',
    messages: '訊息列表',
    typing: '正在輸入',
    people: '在這裡的人',
    connection: '連線',
    tryNow: '立即重試',
    name: '你的名字',
    older: '更早的訊息',
    room: '聊天室名稱',
    go: '前往',
    waiting: (count) => `${count} 則等待中`,
  },
  'zh-Hans': {
    message: '消息',
    send: '发送',
    received: '收到的消息',
    messages: '消息列表',
    typing: '正在输入',
    people: '在这里的人',
    connection: '连接',
    tryNow: '立即重试',
    name: '你的名字',
    older: '更早的消息',
    room: '聊天室名称',
    go: '前往',
    waiting: (count) => `${count} 条等待中`,
  },
};

// Run by Node.js with LangChain.js: does what each line of its input asks, and answers in one.

const { answer } = require("./answering.cjs");
const core = require("@langchain/core/messages");
const pg = require("pg");
const { MongoClient } = require("mongodb");
const { Redis } = require("ioredis");
const { createClient } = require("redis");
const { MongoDBChatMessageHistory } = require("@langchain/mongodb");
const { PostgresChatMessageHistory } = require("@langchain/community/stores/message/postgres");
const ofRedis = require("@langchain/redis");
const ofCommunity = require("@langchain/community/stores/message/ioredis");

/** Each opens a session of the real thing; it gives that and what closes it. */
const kinds = {
  postgres: ({ url, session, table }) => {
    const history = new PostgresChatMessageHistory({
      poolConfig: { connectionString: url },
      sessionId: session,
      tableName: table,
    });
    return [history, () => history.end()];
  },
  redis: ({ url, session }) => {
    const client = createClient({ url });
    const history = new ofRedis.RedisChatMessageHistory({ client, sessionId: session });
    return [history, () => client.disconnect()];
  },
  ioredis: ({ url, session }) => {
    const client = new Redis(url);
    const history = new ofCommunity.RedisChatMessageHistory({ client, sessionId: session });
    return [history, () => client.disconnect()];
  },
  mongo: ({ url, session, database, collection }) => {
    const client = new MongoClient(url);
    const history = new MongoDBChatMessageHistory({
      collection: client.db(database).collection(collection),
      sessionId: session,
    });
    return [history, () => client.close()];
  },
};

const withHistory = async ({ kind, ...where }, does) => {
  const [history, close] = kinds[kind](where);
  try {
    return await does(history);
  } finally {
    await close();
  }
};

answer({
  /** Append messages, each one the name of its class and what its constructor is given. */
  add: ({ messages, ...where }) =>
    withHistory(where, async (history) => {
      for (const [name, given] of messages) await history.addMessage(new core[name](given));
    }),

  /** The messages of a session, as LangChain serializes what it has read. */
  read: (where) =>
    withHistory(where, async (history) =>
      core.mapChatMessagesToStoredMessages(await history.getMessages()),
    ),

  clear: (where) => withHistory(where, (history) => history.clear()),
});

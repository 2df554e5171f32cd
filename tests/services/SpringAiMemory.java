// What the tests ask of the real Spring AI, a line of JSON each, answered in one:
// java -cp 'lib/*' SpringAiMemory.java

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.springframework.ai.chat.memory.ChatMemory;
import org.springframework.ai.chat.memory.MessageWindowChatMemory;
import org.springframework.ai.chat.memory.repository.jdbc.JdbcChatMemoryRepository;
import org.springframework.ai.chat.memory.repository.jdbc.PostgresChatMemoryRepositoryDialect;
import org.springframework.ai.chat.messages.AssistantMessage;
import org.springframework.ai.chat.messages.Message;
import org.springframework.ai.chat.messages.SystemMessage;
import org.springframework.ai.chat.messages.ToolResponseMessage;
import org.springframework.ai.chat.messages.UserMessage;
import org.springframework.ai.util.json.JsonParser;
import org.springframework.core.io.ClassPathResource;
import org.springframework.jdbc.datasource.SingleConnectionDataSource;
import org.springframework.jdbc.datasource.init.ResourceDatabasePopulator;

public class SpringAiMemory {
    private static final String SCHEMA =
        "org/springframework/ai/chat/memory/repository/jdbc/schema-postgresql.sql";
    // JdbcChatMemoryRepository.CONVERSATION_TS, which version 1 does not have.
    private static final String AT = "JdbcChatMemoryRepository_message_timestamp";

    private final JdbcChatMemoryRepository repository;

    private SpringAiMemory(SingleConnectionDataSource source) {
        repository = JdbcChatMemoryRepository.builder()
            .dataSource(source)
            .dialect(new PostgresChatMemoryRepositoryDialect())
            .build();
    }

    @SuppressWarnings({"unchecked", "removal"}) // JsonParser is in both versions.
    public static void main(String[] arguments) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Map<String, Object> answer = new HashMap<>();
            Map<String, Object> asked = JsonParser.fromJson(line, Map.class);
            String url = (String) asked.get("url");
            try (var source = new SingleConnectionDataSource(
                    url, (String) asked.get("user"), (String) asked.get("password"), true)) {
                if (asked.get("do").equals("create")) {
                    new ResourceDatabasePopulator(new ClassPathResource(SCHEMA)).execute(source);
                }
                answer.put("said", new SpringAiMemory(source).said(asked));
            } catch (Exception error) {
                answer.put("error", error.toString());
            }
            out.println(JsonParser.toJson(answer));
        }
    }

    private Object said(Map<String, Object> asked) {
        String conversation = (String) asked.get("conversation");
        switch ((String) asked.get("do")) {
            case "save":
                repository.saveAll(conversation, messages(asked));
                return null;
            case "add":
                window(asked).add(conversation, messages(asked));
                return null;
            case "find":
                return repository.findByConversationId(conversation).stream()
                    .map(SpringAiMemory::told).toList();
            case "ids":
                return repository.findConversationIds();
            case "delete":
                repository.deleteByConversationId(conversation);
                return null;
            case "live":
                return live(conversation, window(asked), (int) asked.get("times"));
            default:
                return null;
        }
    }

    private ChatMemory window(Map<String, Object> asked) {
        return MessageWindowChatMemory.builder()
            .chatMemoryRepository(repository)
            .maxMessages((int) asked.get("most"))
            .build();
    }

    /** Adds a question and an answer and reads them, so many times: the longest wait, in seconds. */
    private static double live(String conversation, ChatMemory memory, int times) {
        long longest = 0;
        for (int n = 0; n < times; n++) {
            long began = System.nanoTime();
            memory.add(conversation, List.of(
                new UserMessage("live " + 2 * n), new AssistantMessage("live " + (2 * n + 1))));
            var found = memory.get(conversation);
            longest = Math.max(longest, System.nanoTime() - began);
            String last = found.get(found.size() - 1).getText();
            if (!last.equals("live " + (2 * n + 1))) {
                throw new IllegalStateException("the last one is " + last);
            }
        }
        return longest / 1e9;
    }

    private static List<Message> messages(Map<String, Object> asked) {
        List<Message> made = new ArrayList<>();
        for (Object each : (List<?>) asked.get("messages")) {
            Map<?, ?> given = (Map<?, ?>) each;
            String text = (String) given.get("text");
            Map<String, Object> own = new HashMap<>();
            if (given.get("at") != null) {
                own.put(AT, Instant.parse((String) given.get("at")));
            }
            made.add(switch ((String) given.get("type")) {
                case "USER" -> UserMessage.builder().text(text).metadata(own).build();
                case "SYSTEM" -> SystemMessage.builder().text(text).metadata(own).build();
                case "ASSISTANT" ->
                    AssistantMessage.builder().content(text).properties(own).build();
                case "CALL" -> AssistantMessage.builder().content(text).toolCalls(
                    List.of(new AssistantMessage.ToolCall("c", "function", "f", "{}"))).build();
                default -> ToolResponseMessage.builder().responses(
                    List.of(new ToolResponseMessage.ToolResponse("c", "f", text))).build();
            });
        }
        return made;
    }

    private static Map<String, Object> told(Message message) {
        Map<String, Object> told = new HashMap<>();
        told.put("type", message.getMessageType().name());
        told.put("text", message.getText());
        Object at = message.getMetadata().get(AT);
        told.put("at", at == null ? null : at.toString());
        return told;
    }
}

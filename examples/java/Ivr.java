// A small IVR: 1 reads the caller's number out, 2 records a message and plays it back. Java 17 or later, and Gson.
//
//   apt install default-jdk-headless libgoogle-gson-java
//   HOOKROUTER_SECRET=whsec_… java -cp /usr/share/java/gson.jar Ivr.java
//
// The secret is that of the route in routes.toml; `hookrouter sign --new-secret` makes one.

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Ivr {
    static final Gson GSON = new Gson();
    static final byte[] SECRET = Base64.getDecoder().decode(System.getenv("HOOKROUTER_SECRET").replaceFirst("^whsec_", ""));

    static final Map<String, Object> MENU = Map.of(
            "action", "gather",
            "prompt", List.of("sound:hello-world", "sound:vm-press", "digits:1", "sound:vm-press", "digits:2"),
            "validDigits", List.of("1", "2"),
            "timeout", 8,
            "tries", 2);
    static final Map<String, Object> HANGUP = Map.of("action", "hangup");
    static final List<Map<String, Object>> GOODBYE = List.of(play("sound:vm-goodbye"), HANGUP);

    static Map<String, Object> play(String media) {
        return Map.of("action", "play", "media", media);
    }

    // What the call does next; an empty list changes nothing.
    static List<Map<String, Object>> actions(String type, JsonObject data, JsonObject state) {
        return switch (type) {
            case "StasisStart" -> List.of(Map.of("action", "answer"), MENU);
            case "DigitsCollected" -> switch (data.get("digits").getAsString()) {
                case "1" -> List.of(play("digits:" + number(state)), MENU);
                case "2" -> List.of(
                        play("sound:vm-leavemsg"),
                        Map.of("action", "record", "beep", true, "maxSilenceSeconds", 3, "maxDurationSeconds", 60, "terminateOn", "#"));
                default -> GOODBYE;
            };
            case "RecordingCompleted" -> {
                var actions = new ArrayList<>(GOODBYE);
                actions.add(0, play("recording:" + data.get("name").getAsString()));
                yield actions;
            }
            case "ActionFailed" -> List.of(HANGUP);
            default -> List.of();
        };
    }

    // Only its digits, whatever a caller calls themselves.
    static String number(JsonObject state) {
        var number = state.has("number") ? state.get("number").getAsString().replaceAll("[^0-9*#]", "") : "";
        return number.isEmpty() ? "0" : number;
    }

    // Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, not older than five minutes. By hand, so that no build tool is
    // needed; with Maven or Gradle, com.standardwebhooks:standardwebhooks does the same.
    static boolean signed(Headers headers, byte[] body) throws GeneralSecurityException {
        String id = headers.getFirst("webhook-id"), at = headers.getFirst("webhook-timestamp");
        String signatures = headers.getFirst("webhook-signature");
        if (id == null || at == null || signatures == null || !at.matches("\\d{1,12}")) return false;
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(at)) > 300) return false;
        var mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(SECRET, "HmacSHA256"));
        mac.update((id + "." + at + ".").getBytes(UTF_8));
        var wanted = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(UTF_8);
        for (var given : signatures.split(" ")) {
            if (MessageDigest.isEqual(wanted, given.getBytes(UTF_8))) return true;
        }
        return false;
    }

    static void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            var body = exchange.getRequestBody().readAllBytes();
            if (!signed(exchange.getRequestHeaders(), body)) {
                exchange.sendResponseHeaders(401, -1);
                return;
            }
            var event = GSON.fromJson(new String(body, UTF_8), JsonObject.class);
            if (!event.has("call")) {
                exchange.sendResponseHeaders(204, -1);
                return;
            }
            var type = event.get("type").getAsString();
            var data = event.getAsJsonObject("data");
            var answer = new HashMap<String, Object>();
            answer.put("actions", actions(type, data, event.getAsJsonObject("call").getAsJsonObject("state")));
            if (type.equals("StasisStart")) {
                var caller = data.getAsJsonObject("channel").getAsJsonObject("caller");
                answer.put("state", Map.of("number", caller.get("number").getAsString()));
            }
            var reply = GSON.toJson(answer).getBytes(UTF_8);
            exchange.getResponseHeaders().set("content-type", "application/json");
            exchange.sendResponseHeaders(200, reply.length);
            exchange.getResponseBody().write(reply);
        } catch (GeneralSecurityException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    public static void main(String[] args) throws IOException {
        var port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8000"));
        var server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", Ivr::handle);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
        System.out.println("listening on port " + port);
    }
}

/*
 * An application on librdkafka that knows the words of Clients.java: "put", "deal" and "take", each
 * with words "key=value". It answers one line "| topic partition offset value" for each record, then
 * "ok count=..." or "err ...".
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define PARTITIONS_MAX 1024

static int words;
static char **word;
static rd_kafka_t *client;

/* Ends at once: what is open at the brokers stays open, as when an application dies. */
static void end(void) {
    fflush(stdout);
    _exit(0);
}

static void fail(const char *what, const char *why) {
    printf("err %s: %s\n", what, why);
    end();
}

static void check(const char *what, rd_kafka_resp_err_t error) {
    if (error) fail(what, rd_kafka_err2str(error));
}

static void check_error(const char *what, rd_kafka_error_t *error) {
    if (error) fail(what, rd_kafka_error_string(error));
}

static const char *text_or(const char *key, const char *otherwise) {
    size_t length = strlen(key);
    for (int nth = 2; nth < words; nth++)
        if (!strncmp(word[nth], key, length) && word[nth][length] == '=') return word[nth] + length + 1;
    return otherwise;
}

static const char *text(const char *key) {
    const char *found = text_or(key, NULL);
    if (!found) fail("missing word", key);
    return found;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char why[256];
    if (rd_kafka_conf_set(conf, key, value, why, sizeof why)) fail(key, why);
}

/* What is no application's word has a length. */
static void tell(const rd_kafka_message_t *message) {
    const unsigned char *bytes = message->payload;
    int is_word = bytes != NULL;
    for (size_t nth = 0; is_word && nth < message->len; nth++)
        if (bytes[nth] <= ' ' || bytes[nth] > '~') is_word = 0;
    printf("| %s %d %lld ", rd_kafka_topic_name(message->rkt), (int)message->partition,
           (long long)message->offset);
    if (!bytes) printf("null\n");
    else if (is_word) printf("%.*s\n", (int)message->len, (const char *)bytes);
    else printf("bytes-%zu\n", message->len);
}

static void delivered(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    (void)producer, (void)opaque;
    check("not acknowledged", message->err);
    tell(message);
}

static rd_kafka_conf_t *options(void) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", text("b"));
    set(conf, "reconnect.backoff.max.ms", "300");
    return conf;
}

static void start(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char why[256];
    client = rd_kafka_new(type, conf, why, sizeof why);
    if (!client) fail("no client", why);
}

static void start_producer(rd_kafka_conf_t *conf) {
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "5");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    start(RD_KAFKA_PRODUCER, conf);
}

static int send_all(void) {
    int count = atoi(text("count")), partitions = atoi(text_or("partitions", "2"));
    for (int number = 0; number < count; number++) {
        char value[200];
        snprintf(value, sizeof value, "%s-%d", text("tag"), number);
        check("not sent", rd_kafka_producev(client, RD_KAFKA_V_TOPIC(text("topic")),
            RD_KAFKA_V_PARTITION(number % partitions), RD_KAFKA_V_VALUE(value, strlen(value)),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END));
    }
    check("flush", rd_kafka_flush(client, PATIENCE_MS));
    return count;
}

static long put(void) {
    start_producer(options());
    long count = send_all();
    rd_kafka_destroy(client);
    return count;
}

static long deal(void) {
    rd_kafka_conf_t *conf = options();
    set(conf, "transactional.id", text("id"));
    set(conf, "transaction.timeout.ms", "900000");
    start_producer(conf);
    check_error("init_transactions", rd_kafka_init_transactions(client, PATIENCE_MS));
    check_error("begin_transaction", rd_kafka_begin_transaction(client));
    long count = send_all();
    if (!strcmp(text("end"), "commit"))
        check_error("commit_transaction", rd_kafka_commit_transaction(client, PATIENCE_MS));
    else if (!strcmp(text("end"), "abort"))
        check_error("abort_transaction", rd_kafka_abort_transaction(client, PATIENCE_MS));
    else
        return count;
    rd_kafka_destroy(client);
    return count;
}

/* Partitions of which all was read, by topic and number. */
static struct { char topic[256]; int32_t partition; } ended[PARTITIONS_MAX];
static int ended_count;

static void partition_ended(const rd_kafka_message_t *message) {
    const char *topic = rd_kafka_topic_name(message->rkt);
    for (int nth = 0; nth < ended_count; nth++)
        if (!strcmp(ended[nth].topic, topic) && ended[nth].partition == message->partition) return;
    if (ended_count == PARTITIONS_MAX) fail("too many partitions", topic);
    snprintf(ended[ended_count].topic, sizeof ended[0].topic, "%s", topic);
    ended[ended_count++].partition = message->partition;
}

static int is_all_ended(void) {
    rd_kafka_topic_partition_list_t *assigned;
    check("assignment", rd_kafka_assignment(client, &assigned));
    int all = assigned->cnt > 0 && assigned->cnt == ended_count;
    rd_kafka_topic_partition_list_destroy(assigned);
    return all;
}

static void subscribe(void) {
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(8);
    char *all = strdup(text("topics"));
    for (char *one = strtok(all, ","); one; one = strtok(NULL, ","))
        rd_kafka_topic_partition_list_add(topics, one, RD_KAFKA_PARTITION_UA);
    check("subscribe", rd_kafka_subscribe(client, topics));
    rd_kafka_topic_partition_list_destroy(topics);
    free(all);
}

static long take(void) {
    rd_kafka_conf_t *conf = options();
    set(conf, "group.id", text("group"));
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "isolation.level",
        strcmp(text_or("committed", "false"), "true") ? "read_uncommitted" : "read_committed");
    start(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(client);
    subscribe();
    long count = 0, max = atol(text_or("max", "1000000000"));
    time_t deadline = time(NULL) + PATIENCE_MS / 1000;
    while (count < max && !is_all_ended()) {
        if (time(NULL) > deadline) fail("take", "not everything within 60 s");
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 200);
        if (!message) continue;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) partition_ended(message);
        else check("poll", message->err);
        if (!message->err) tell(message), count++;
        rd_kafka_message_destroy(message);
    }
    rd_kafka_resp_err_t error = rd_kafka_commit(client, NULL, 0);
    if (error != RD_KAFKA_RESP_ERR__NO_OFFSET) check("commit", error);
    check("close", rd_kafka_consumer_close(client));
    rd_kafka_destroy(client);
    return count;
}

int main(int count, char **arguments) {
    words = count, word = arguments;
    const char *command = count > 1 ? arguments[1] : "";
    long told = 0;
    if (!strcmp(command, "put")) told = put();
    else if (!strcmp(command, "deal")) told = deal();
    else if (!strcmp(command, "take")) told = take();
    else fail("no command", command);
    printf("ok count=%ld\n", told);
    end();
}

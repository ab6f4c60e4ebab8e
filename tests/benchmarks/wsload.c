/* wsload: WebSocket clients that talk or listen, and measure how long answers, handshakes and pushes take.

   wsload PORT TARGETS FIRST MESSAGES FAILURE READY [HEADER ...]

     TARGETS   a file with one request target per line; each line is a socket: /?token=…, /ocpp/CP000001
     FIRST     the first socket's number
     MESSAGES  a file with one text to send per line, said in turn, made unique by what stands in it:
                 ########                   the message's number (required, and expected back in the answer)
                 ~~~~~~                     the socket's number
                 yyyy-mm-ddThh:mm:ss.mmmZ   the time now
     FAILURE   an answer that holds this text counts as failed
     READY     a socket is open once it got a text that holds this; if empty, with the handshake
     HEADER    further lines of the handshake, such as "Sec-WebSocket-Protocol: ocpp1.6"

   Takes commands on its input and answers each with a line of JSON:

     dial TOGETHER        open all sockets that are not, so many at a time; one that is refused dials again
     drop                 cut all sockets, as a network does
     closed SECONDS       every socket sends again as soon as it has its answer
     open RATE SECONDS    so many messages a second in all; latency counts from when a message was due
     listen SECONDS       count what holds "ts":<microseconds of the monotonic clock>, latency since then

   One thread, epoll, one message under way per socket. An open socket that is closed ends the program. Linux only. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };
enum { DRAIN_S = 30, DIAL_S = 300, BUFFER = 1 << 16, MAX_MESSAGES = 4, MAX_PLACES = 8 };
enum { ID_LENGTH = 8, SOCKET_LENGTH = 6, TIME_LENGTH = 24 };

static const uint8_t MASK[4] = {0x5c, 0xa3, 0x17, 0xe9}; /* not zero: a server may skip the unmasking of that */
static const double PATIENCE_S = 0.5;                     /* until one that was refused dials again */

typedef enum { APART, CONNECTING, SHAKING, GREETING, OPEN } State;

typedef struct {
    int fd, number;
    State state;
    const char *target;
    double dialled, not_before;
    bool waits; /* for the answer to its message */
    char id[ID_LENGTH + 1];
    double since;
    int turn; /* which of the messages is next */
    int length;
    uint8_t *buffer; /* received, not yet a whole frame */
} Socket;

typedef struct {
    int count, at[MAX_PLACES];
} Places;

typedef struct {
    char *text;
    int length;
    Places ids, numbers, times;
} Message;

static Socket *sockets;
static int socket_count, poller, port;
static char **headers;
static Message messages[MAX_MESSAGES];
static int message_count;
static const char *failure, *ready;
static unsigned long sent;

/* What one command measures. */
static double *latencies;
static long answered, room;
static long failed;
static double last_answer;
static bool send_again, listening;
static int under_way, open_count; /* dialling now; open */
static long refused;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "wsload: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void note(double latency) {
    if (answered == room)
        latencies = realloc(latencies, (room = room ? 2 * room : 1 << 16) * sizeof *latencies);
    latencies[answered++] = latency;
}

/* --- messages out --- */

static void find_places(const char *text, const char *what, Places *places) {
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) {
        if (places->count == MAX_PLACES)
            die("more than %d times %s in a message", MAX_PLACES, what);
        places->at[places->count++] = at - text;
    }
}

static void fill(uint8_t *text, const Places *places, const char *with, int length) {
    for (int i = 0; i < places->count; i++)
        memcpy(text + places->at[i], with, length);
}

static void time_text(char *text) {
    struct timespec t;
    struct tm date;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &date);
    strftime(text, TIME_LENGTH + 1, "%Y-%m-%dT%H:%M:%S", &date);
    sprintf(text + 19, ".%03uZ", (unsigned)(t.tv_nsec / 1000000) % 1000);
}

/* Nothing waits for room in a socket's buffer: there is never more than one message and a pong in it. */
static void send_frame(Socket *s, int kind, const uint8_t *payload, int length) {
    static uint8_t frame[BUFFER + 8];
    int at = 0;
    frame[at++] = 0x80 | kind;
    if (length < 126) {
        frame[at++] = 0x80 | length;
    } else {
        frame[at++] = 0x80 | 126;
        frame[at++] = length >> 8;
        frame[at++] = length & 255;
    }
    memcpy(frame + at, MASK, 4);
    at += 4;
    for (int i = 0; i < length; i++)
        frame[at + i] = payload[i] ^ MASK[i & 3];
    if (write(s->fd, frame, at + length) != at + length)
        die("socket %d takes no more: %s", s->number, strerror(errno));
}

static void send_message(Socket *s, double since) {
    static uint8_t text[BUFFER];
    char number[24], time_now[TIME_LENGTH + 1];
    const Message *message = &messages[s->turn++ % message_count];
    memcpy(text, message->text, message->length);
    snprintf(s->id, sizeof s->id, "%08lu", ++sent % 100000000);
    fill(text, &message->ids, s->id, ID_LENGTH);
    snprintf(number, sizeof number, "%06d", s->number);
    fill(text, &message->numbers, number, SOCKET_LENGTH);
    if (message->times.count) {
        time_text(time_now);
        fill(text, &message->times, time_now, TIME_LENGTH);
    }
    s->waits = true;
    s->since = since;
    send_frame(s, TEXT, text, message->length);
}

/* --- sockets --- */

static void watch(Socket *s, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = s};
    epoll_ctl(poller, how, s->fd, &event);
}

static void cut(Socket *s) {
    struct linger at_once = {.l_onoff = 1};
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(s->fd);
    if (s->state == OPEN)
        open_count--;
    else
        under_way--;
    s->state = APART;
    s->length = 0;
    s->waits = false;
}

static void refuse(Socket *s, const char *why, int length) {
    if (s->state == OPEN)
        die("open socket %d: %.*s", s->number, length, why);
    if (!refused++)
        fprintf(stderr, "wsload: the first refusal: %.*s\n", length, why);
    cut(s);
    s->not_before = now() + PATIENCE_S;
}

static void dial(Socket *s) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        die("socket %d: %s", s->number, strerror(errno));
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    s->state = CONNECTING;
    s->dialled = now();
    under_way++;
    if (connect(s->fd, (void *)&address, sizeof address) && errno != EINPROGRESS)
        die("socket %d: %s", s->number, strerror(errno));
    watch(s, EPOLL_CTL_ADD, EPOLLOUT);
}

static void shake_hands(Socket *s) {
    static char request[BUFFER];
    int error = 0;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    if (error) {
        const char *why = strerror(error);
        refuse(s, why, strlen(why));
        return;
    }
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: d3Nsb2FkIGlzIGEgdG9vbA==\r\n",
                          s->target, port);
    for (char **header = headers; *header; header++)
        length += snprintf(request + length, sizeof request - length, "%s\r\n", *header);
    length += snprintf(request + length, sizeof request - length, "\r\n");
    if (write(s->fd, request, length) != length)
        die("the handshake cannot be sent");
    s->state = SHAKING;
    watch(s, EPOLL_CTL_MOD, EPOLLIN);
}

static void opened(Socket *s) {
    s->state = OPEN;
    under_way--;
    open_count++;
    last_answer = now();
    note(last_answer - s->dialled);
}

/* --- frames in --- */

static void count_push(const uint8_t *text, long length) {
    const char *at = memmem(text, length, "\"ts\":", 5);
    if (at) {
        last_answer = now();
        note(last_answer - strtod(at + 5, NULL) * 1e-6);
    }
}

static void count_answer(Socket *s, const uint8_t *text, long length) {
    if (!s->waits || !memmem(text, length, s->id, ID_LENGTH))
        return; /* an event, not our answer */
    s->waits = false;
    last_answer = now();
    if (memmem(text, length, failure, strlen(failure)) && !failed++)
        fprintf(stderr, "wsload: the first failure: %.*s\n", (int)(length < 300 ? length : 300), text);
    note(last_answer - s->since);
    if (send_again)
        send_message(s, last_answer);
}

static void take_frame(Socket *s, int kind, const uint8_t *payload, long length) {
    if (kind == TEXT && s->state == GREETING) {
        if (memmem(payload, length, ready, strlen(ready)))
            opened(s);
    } else if (kind == TEXT && listening) {
        count_push(payload, length);
    } else if (kind == TEXT) {
        count_answer(s, payload, length);
    } else if (kind == PING) {
        send_frame(s, PONG, payload, length);
    } else if (kind == CLOSE) {
        static char why[200];
        int code = length < 2 ? 1005 : payload[0] << 8 | payload[1];
        int text = length < 2 ? 0 : length - 2;
        int written = snprintf(why, sizeof why, "closed with %d %.*s", code, text, payload + 2);
        refuse(s, why, written);
    }
}

static void take_frames(Socket *s) {
    int at = 0;
    while (s->state >= GREETING && s->length - at >= 2) {
        const uint8_t *frame = s->buffer + at;
        long length = frame[1] & 127;
        int header = length == 126 ? 4 : length == 127 ? 10 : 2;
        if (header == 10)
            die("socket %d got a frame of 64 KiB or more", s->number);
        if (s->length - at < header)
            break;
        if (header == 4)
            length = frame[2] << 8 | frame[3];
        if (s->length - at < header + length)
            break;
        at += header + length;
        take_frame(s, frame[0] & 15, frame + header, length);
    }
    if (s->state != APART)
        memmove(s->buffer, s->buffer + at, s->length -= at);
}

static void take_handshake(Socket *s) {
    uint8_t *end = memmem(s->buffer, s->length, "\r\n\r\n", 4);
    if (!end)
        return;
    if (memcmp(s->buffer, "HTTP/1.1 101", 12)) {
        refuse(s, (char *)s->buffer, s->length < 200 ? s->length : 200);
        return;
    }
    int head = end + 4 - s->buffer;
    memmove(s->buffer, end + 4, s->length -= head);
    s->state = GREETING;
    if (!*ready)
        opened(s);
    take_frames(s);
}

static void read_socket(Socket *s) {
    int got = read(s->fd, s->buffer + s->length, BUFFER - s->length);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        const char *why = got ? strerror(errno) : "cut off";
        refuse(s, why, strlen(why));
        return;
    }
    s->length += got;
    if (s->state == SHAKING)
        take_handshake(s);
    else
        take_frames(s);
}

/* Serve what has arrived, waiting for it at most so long. Returns whether there is something on our own input. */
static bool serve(double seconds) {
    struct epoll_event events[256];
    bool command = false;
    int count = epoll_wait(poller, events, 256, seconds > 0.001 ? (int)(seconds * 1000) : 0);
    for (int i = 0; i < count; i++) {
        Socket *s = events[i].data.ptr;
        if (!s)
            command = true;
        else if (s->state == CONNECTING)
            shake_hands(s);
        else if (s->state != APART)
            read_socket(s);
    }
    return command;
}

/* --- commands --- */

static int unanswered(void) {
    int count = 0;
    for (int i = 0; i < socket_count; i++)
        count += sockets[i].waits;
    return count;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(double part) {
    return answered ? latencies[(long)(part * (answered - 1))] * 1e3 : 0;
}

static void report(double began) {
    qsort(latencies, answered, sizeof *latencies, by_size);
    printf("{\"answered\": %ld, \"failed\": %ld, \"unanswered\": %d, \"refused\": %ld, \"seconds\": %.6f, "
           "\"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
           answered, failed, unanswered(), refused, answered ? last_answer - began : 0, percentile_ms(0.5),
           percentile_ms(0.99));
    fflush(stdout);
}

static void finish(double began) {
    send_again = false;
    for (double end = now() + DRAIN_S; unanswered() && now() < end;)
        serve(0.005);
    report(began);
}

static void dial_all(int together) {
    double began = now();
    int next = 0;
    while (open_count < socket_count) {
        for (int tried = 0; under_way < together && tried < socket_count; tried++) {
            Socket *s = &sockets[next];
            next = (next + 1) % socket_count;
            if (s->state == APART && s->not_before <= now())
                dial(s);
        }
        serve(0.005);
        if (now() > began + DIAL_S)
            die("%d of %d sockets are open after %d s", open_count, socket_count, DIAL_S);
    }
    report(began);
}

static void drop_all(void) {
    double began = now();
    for (int i = 0; i < socket_count; i++)
        if (sockets[i].state != APART)
            cut(&sockets[i]);
    report(began);
}

static void closed_loop(double seconds) {
    double began = now();
    send_again = true;
    for (int i = 0; i < socket_count; i++)
        send_message(&sockets[i], now());
    while (now() < began + seconds)
        serve(0.005);
    finish(began);
}

static void open_loop(double rate, double seconds) {
    double began = now();
    long due = 0, last = rate * seconds;
    int next = 0;
    while (due < last) {
        while (due < last && began + due / rate <= now()) {
            for (int tried = 0; sockets[next].waits && tried < socket_count; tried++)
                next = (next + 1) % socket_count;
            if (sockets[next].waits)
                break; /* all are busy; its latency counts from when it was due all the same */
            send_message(&sockets[next], began + due++ / rate);
            next = (next + 1) % socket_count;
        }
        serve(began + due / rate - now());
    }
    finish(began);
}

static void listen_for(double seconds) {
    double began = now();
    listening = true;
    while (now() < began + seconds)
        serve(0.005);
    listening = false;
    report(began);
}

static void obey(const char *command) {
    double rate, seconds;
    int together;
    answered = failed = refused = 0;
    if (sscanf(command, "dial %d", &together) == 1)
        dial_all(together);
    else if (!strncmp(command, "drop", 4))
        drop_all();
    else if (sscanf(command, "closed %lf", &seconds) == 1)
        closed_loop(seconds);
    else if (sscanf(command, "open %lf %lf", &rate, &seconds) == 2)
        open_loop(rate, seconds);
    else if (sscanf(command, "listen %lf", &seconds) == 1)
        listen_for(seconds);
    else
        die("what is %s", command);
}

/* --- files --- */

/* The next line without its end, or NULL. */
static char *line_of(FILE *file) {
    char *line = NULL;
    size_t size = 0;
    ssize_t length = getline(&line, &size, file);
    if (length < 0)
        return NULL;
    line[strcspn(line, "\n")] = 0;
    return line;
}

static FILE *opened_file(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file)
        die("%s: %s", path, strerror(errno));
    return file;
}

static void read_messages(const char *path) {
    FILE *file = opened_file(path);
    for (char *text; (text = line_of(file)); message_count++) {
        if (message_count == MAX_MESSAGES)
            die("more than %d messages", MAX_MESSAGES);
        Message *message = &messages[message_count];
        message->text = text;
        message->length = strlen(text);
        if (message->length >= BUFFER)
            die("a message is too long");
        find_places(text, "########", &message->ids);
        find_places(text, "~~~~~~", &message->numbers);
        find_places(text, "yyyy-mm-ddThh:mm:ss.mmmZ", &message->times);
        if (!message->ids.count)
            die("a message has no ########");
    }
    fclose(file);
}

static void read_targets(const char *path, int first) {
    FILE *file = opened_file(path);
    int places = 0;
    for (char *target; (target = line_of(file)); socket_count++) {
        if (socket_count == places)
            sockets = realloc(sockets, (places = places ? 2 * places : 1024) * sizeof *sockets);
        sockets[socket_count] = (Socket){.number = first + socket_count, .target = target, .buffer = malloc(BUFFER)};
    }
    fclose(file);
}

int main(int count, char **arguments) {
    char command[100];
    if (count < 7)
        die("usage: wsload PORT TARGETS FIRST MESSAGES FAILURE READY [HEADER ...]");
    port = atoi(arguments[1]);
    read_targets(arguments[2], atoi(arguments[3]));
    read_messages(arguments[4]);
    failure = arguments[5];
    ready = arguments[6];
    headers = arguments + 7;
    poller = epoll_create1(0);
    struct epoll_event input = {.events = EPOLLIN};
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    for (;;)
        if (serve(1) && fgets(command, sizeof command, stdin))
            obey(command);
        else if (feof(stdin))
            return 0;
}

/* wsload: WebSocket clients that say one thing over and over, and measure how long the answers take.

   wsload PORT TARGETS MESSAGE FAILURE [HEADER ...]

     TARGETS   a file with one request target per line; each line is a socket: /?token=…, /ocpp/CP000001
     MESSAGE   the text to send, made unique by what stands in it:
                 ########                   the message's number (required, and expected back in the answer)
                 ~~~~~~                     the socket's number
                 yyyy-mm-ddThh:mm:ss.mmmZ   the time now
     FAILURE   an answer that holds this text counts as failed
     HEADER    further lines of the handshake, such as "Sec-WebSocket-Protocol: ocpp1.6"

   Says {"sockets": …} once all are open, then takes commands on its input and answers each with a line of JSON:

     closed SECONDS       every socket sends again as soon as it has its answer
     open RATE SECONDS    so many messages a second in all; latency counts from when a message was due

   One thread, epoll, one message under way per socket. A socket that ends, ends the program. Linux only. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
enum { DRAIN_S = 10, BUFFER = 1 << 16, MAX_PLACES = 8, ID_LENGTH = 8, SOCKET_LENGTH = 6, TIME_LENGTH = 24 };

static const uint8_t MASK[4] = {0x5c, 0xa3, 0x17, 0xe9}; /* not zero: a server may skip the unmasking of that */

typedef struct {
    int fd, number;
    bool waits; /* for the answer to its message */
    char id[ID_LENGTH + 1];
    double since;
    int length;
    uint8_t *buffer; /* received, not yet a whole frame */
} Socket;

typedef struct {
    int count, at[MAX_PLACES];
} Places;

static Socket *sockets;
static int socket_count, poller;
static const char *message, *failure;
static int message_length;
static Places id_places, socket_places, time_places;
static unsigned long sent;

/* What one command measures. */
static double *latencies;
static long answered, room;
static long failed;
static double last_answer;
static bool send_again;

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

/* --- messages out --- */

static void find_places(const char *what, Places *places) {
    for (const char *at = message; (at = strstr(at, what)); at += strlen(what)) {
        if (places->count == MAX_PLACES)
            die("more than %d times %s in the message", MAX_PLACES, what);
        places->at[places->count++] = at - message;
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
    memcpy(text, message, message_length);
    snprintf(s->id, sizeof s->id, "%08lu", ++sent % 100000000);
    fill(text, &id_places, s->id, ID_LENGTH);
    snprintf(number, sizeof number, "%06d", s->number);
    fill(text, &socket_places, number, SOCKET_LENGTH);
    if (time_places.count) {
        time_text(time_now);
        fill(text, &time_places, time_now, TIME_LENGTH);
    }
    s->waits = true;
    s->since = since;
    send_frame(s, TEXT, text, message_length);
}

/* --- frames in --- */

static void count_answer(Socket *s, const uint8_t *text, long length) {
    if (!s->waits || !memmem(text, length, s->id, ID_LENGTH))
        return; /* an event, not our answer */
    s->waits = false;
    last_answer = now();
    if (memmem(text, length, failure, strlen(failure)) && !failed++)
        fprintf(stderr, "wsload: the first failure: %.*s\n", (int)(length < 300 ? length : 300), text);
    if (answered == room)
        latencies = realloc(latencies, (room = room ? 2 * room : 1 << 16) * sizeof *latencies);
    latencies[answered++] = last_answer - s->since;
    if (send_again)
        send_message(s, last_answer);
}

static void take_frame(Socket *s, int kind, const uint8_t *payload, long length) {
    if (kind == TEXT)
        count_answer(s, payload, length);
    else if (kind == PING)
        send_frame(s, PONG, payload, length);
    else if (kind == CLOSE)
        die("the server closed socket %d with %d %.*s", s->number, length < 2 ? 1005 : payload[0] << 8 | payload[1],
            (int)(length < 2 ? 0 : length - 2), payload + 2);
}

static void take_frames(Socket *s) {
    int at = 0;
    while (s->length - at >= 2) {
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
    memmove(s->buffer, s->buffer + at, s->length -= at);
}

static void read_socket(Socket *s) {
    int got = read(s->fd, s->buffer + s->length, BUFFER - s->length);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("socket %d was cut off: %s", s->number, got ? strerror(errno) : "end of stream");
    s->length += got;
    take_frames(s);
}

/* Serve what has arrived, waiting for it at most so long. Returns whether there is something on our own input. */
static bool serve(double seconds) {
    struct epoll_event events[256];
    bool command = false;
    int count = epoll_wait(poller, events, 256, seconds > 0.001 ? (int)(seconds * 1000) : 0);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            read_socket(events[i].data.ptr);
        else
            command = true;
    }
    return command;
}

/* --- connecting, one after the other --- */

static void listen_to(int fd, Socket *s) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static void shake_hands(Socket *s, int port, const char *target, char **headers) {
    static char request[BUFFER];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: d3Nsb2FkIGlzIGEgdG9vbA==\r\n",
                          target, port);
    for (; *headers; headers++)
        length += snprintf(request + length, sizeof request - length, "%s\r\n", *headers);
    length += snprintf(request + length, sizeof request - length, "\r\n");
    if (write(s->fd, request, length) != length)
        die("the handshake cannot be sent");
    uint8_t *end = NULL;
    while (!end) {
        int got = read(s->fd, s->buffer + s->length, BUFFER - s->length);
        if (got <= 0)
            die("the handshake of socket %d was cut off", s->number);
        s->length += got;
        end = memmem(s->buffer, s->length, "\r\n\r\n", 4);
    }
    if (memcmp(s->buffer, "HTTP/1.1 101", 12))
        die("the handshake of socket %d was refused: %.*s", s->number, 200, s->buffer);
    int head = end + 4 - s->buffer;
    memmove(s->buffer, end + 4, s->length -= head);
}

static void open_socket(Socket *s, int port, const char *target, char **headers) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->buffer = malloc(BUFFER);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->fd < 0 || connect(s->fd, (void *)&address, sizeof address))
        die("socket %d: %s", s->number, strerror(errno));
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    shake_hands(s, port, target, headers);
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    listen_to(s->fd, s);
    take_frames(s);
}

static void open_all(int port, const char *path, char **headers) {
    static char target[4096];
    FILE *targets = fopen(path, "r");
    if (!targets)
        die("%s: %s", path, strerror(errno));
    while (fgets(target, sizeof target, targets))
        socket_count++;
    sockets = calloc(socket_count, sizeof *sockets);
    rewind(targets);
    for (int i = 0; i < socket_count && fgets(target, sizeof target, targets); i++) {
        target[strcspn(target, "\n")] = 0;
        sockets[i].number = i;
        open_socket(&sockets[i], port, target, headers);
        serve(0);
    }
    fclose(targets);
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

static void finish(double began) {
    send_again = false;
    for (double end = now() + DRAIN_S; unanswered() && now() < end;)
        serve(0.005);
    qsort(latencies, answered, sizeof *latencies, by_size);
    printf("{\"answered\": %ld, \"failed\": %ld, \"unanswered\": %d, \"seconds\": %.6f, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f}\n",
           answered, failed, unanswered(), last_answer - began, percentile_ms(0.5), percentile_ms(0.99));
    fflush(stdout);
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

static void obey(const char *command) {
    double rate, seconds;
    answered = failed = 0;
    if (sscanf(command, "closed %lf", &seconds) == 1)
        closed_loop(seconds);
    else if (sscanf(command, "open %lf %lf", &rate, &seconds) == 2)
        open_loop(rate, seconds);
    else
        die("what is %s", command);
}

int main(int count, char **arguments) {
    char command[100];
    if (count < 5)
        die("usage: wsload PORT TARGETS MESSAGE FAILURE [HEADER ...]");
    message = arguments[3];
    message_length = strlen(message);
    failure = arguments[4];
    if (message_length >= BUFFER)
        die("the message is too long");
    find_places("########", &id_places);
    find_places("~~~~~~", &socket_places);
    find_places("yyyy-mm-ddThh:mm:ss.mmmZ", &time_places);
    if (!id_places.count)
        die("the message has no ########");
    poller = epoll_create1(0);
    open_all(atoi(arguments[1]), arguments[2], arguments + 5);
    listen_to(STDIN_FILENO, NULL);
    printf("{\"sockets\": %d}\n", socket_count);
    fflush(stdout);
    for (;;)
        if (serve(1) && fgets(command, sizeof command, stdin))
            obey(command);
        else if (feof(stdin))
            return 0;
}

// An application on franz-go that knows the words of Clients.java: "put", "deal" and "take", each with
// words "key=value". It answers one line "| topic partition offset value" for each record, then
// "ok count=..." or "err ...".
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	patience = 60 * time.Second
	// Between two looks at whether a transaction is over.
	rest = 100 * time.Millisecond
)

var (
	words = map[string]string{}
	out   = bufio.NewWriter(os.Stdout)
)

// Ends at once: what is open at the brokers stays open, as when an application dies.
func end() {
	out.Flush()
	os.Exit(0)
}

func fail(what string, why any) {
	fmt.Fprintf(out, "err %s: %v\n", what, why)
	end()
}

func check(what string, err error) {
	if err != nil {
		fail(what, strings.ReplaceAll(err.Error(), "\n", " "))
	}
}

func text(key string) string {
	value, found := words[key]
	if !found {
		fail("missing word", key)
	}
	return value
}

func number(key string, otherwise int) int {
	value, found := words[key]
	if !found {
		return otherwise
	}
	parsed, err := strconv.Atoi(value)
	check(key, err)
	return parsed
}

// What is no application's word has a length.
func tell(record *kgo.Record) {
	value := "null"
	if record.Value != nil {
		value = string(record.Value)
		for _, one := range record.Value {
			if one <= ' ' || one > '~' {
				value = fmt.Sprintf("bytes-%d", len(record.Value))
				break
			}
		}
	}
	fmt.Fprintf(out, "| %s %d %d %s\n", record.Topic, record.Partition, record.Offset, value)
}

func start(options ...kgo.Opt) *kgo.Client {
	all := append(options, kgo.SeedBrokers(strings.Split(text("b"), ",")...))
	client, err := kgo.NewClient(all...)
	check("no client", err)
	return client
}

func send(ctx context.Context, client *kgo.Client) int {
	count, partitions := number("count", 0), number("partitions", 2)
	var records []*kgo.Record
	for nth := 0; nth < count; nth++ {
		records = append(records, &kgo.Record{
			Topic:     text("topic"),
			Partition: int32(nth % partitions),
			Value:     []byte(fmt.Sprintf("%s-%d", text("tag"), nth)),
		})
	}
	for _, result := range client.ProduceSync(ctx, records...) {
		check("not acknowledged", result.Err)
		tell(result.Record)
	}
	return count
}

func put(ctx context.Context) int {
	client := start(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer client.Close()
	return send(ctx, client)
}

// Begins a transaction once the one before, maybe of a process that is gone, is over: its end was
// acknowledged before all of its partitions knew of it. The library says so and leaves the wait to us.
func begin(ctx context.Context, client *kgo.Client) error {
	for {
		err := client.BeginTransaction()
		if !errors.Is(err, kerr.ConcurrentTransactions) || ctx.Err() != nil {
			return err
		}
		time.Sleep(rest)
	}
}

func deal(ctx context.Context) int {
	client := start(
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID(text("id")),
		kgo.TransactionTimeout(15*time.Minute),
	)
	check("begin", begin(ctx, client))
	count := send(ctx, client)
	switch text("end") {
	case "commit":
		check("commit", client.EndTransaction(ctx, kgo.TryCommit))
	case "abort":
		check("abort", client.EndTransaction(ctx, kgo.TryAbort))
	default:
		return count
	}
	client.Close()
	return count
}

type place struct {
	topic     string
	partition int32
}

// Where the group goes on, and where there is nothing more, for each partition.
func bounds(ctx context.Context, admin *kadm.Client, topics []string) (next, ends map[place]int64) {
	starts, err := admin.ListStartOffsets(ctx, topics...)
	check("start offsets", err)
	list := admin.ListEndOffsets
	if words["committed"] == "true" {
		list = admin.ListCommittedOffsets
	}
	last, err := list(ctx, topics...)
	check("end offsets", err)
	held, err := admin.FetchOffsets(ctx, text("group"))
	check("offsets of the group", err)
	next, ends = map[place]int64{}, map[place]int64{}
	last.Each(func(one kadm.ListedOffset) {
		check("end offset", one.Err)
		ends[place{one.Topic, one.Partition}] = one.Offset
	})
	starts.Each(func(one kadm.ListedOffset) {
		check("start offset", one.Err)
		next[place{one.Topic, one.Partition}] = one.Offset
	})
	held.Each(func(one kadm.OffsetResponse) {
		next[place{one.Topic, one.Partition}] = one.At
	})
	return next, ends
}

func take(ctx context.Context) int {
	topics, max := strings.Split(text("topics"), ","), number("max", 1_000_000_000)
	level := kgo.ReadUncommitted()
	if words["committed"] == "true" {
		level = kgo.ReadCommitted()
	}
	client := start(
		kgo.ConsumerGroup(text("group")),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(level),
		kgo.DisableAutoCommit(),
		// A partition may end with markers, which nothing else would tell of.
		kgo.KeepControlRecords(),
	)
	next, ends := bounds(ctx, kadm.NewClient(client), topics)
	isOver := func() bool {
		for at, end := range ends {
			if next[at] < end {
				return false
			}
		}
		return true
	}
	count := 0
	for count < max && !isOver() {
		fetches := client.PollRecords(ctx, max-count)
		for _, fault := range fetches.Errors() {
			check("poll", fault.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			next[place{record.Topic, record.Partition}] = record.Offset + 1
			if !record.Attrs.IsControl() {
				tell(record)
				count++
			}
		})
	}
	check("commit", client.CommitUncommittedOffsets(ctx))
	client.Close()
	return count
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	commands := map[string]func(context.Context) int{"put": put, "deal": deal, "take": take}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail("no command", os.Args[1:])
	}
	for _, word := range os.Args[2:] {
		key, value, _ := strings.Cut(word, "=")
		words[key] = value
	}
	fmt.Fprintf(out, "ok count=%d\n", commands[os.Args[1]](ctx))
	end()
}

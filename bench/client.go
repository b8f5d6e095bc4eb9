package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

const (
	benchUser  = "bench"
	benchToken = "bench-token-of-no-value"
	otherUser  = "other"
	otherToken = "other-token-of-no-value"

	jsonType  = "application/json"
	protoType = "application/vnd.kubernetes.protobuf"
	tableType = "application/json;as=Table;v=v1;g=meta.k8s.io"
	smpType   = "application/strategic-merge-patch+json"
	applyType = "application/apply-patch+yaml"
)

// refusal is an answer with an unexpected status.
type refusal struct {
	status     int
	message    string
	retryAfter time.Duration // 0 when the answer does not say
}

func (r refusal) Error() string { return fmt.Sprintf("%d: %s", r.status, r.message) }

// call is one request. Accept and ContentType default to JSON.
type call struct {
	method, path        string
	accept, contentType string
	body                []byte
	want                int // status; 0 means 200
}

// client sends requests with a bearer token over HTTP/2 and TLS, uncompressed.
type client struct {
	base, token string
	http        *http.Client
}

func newClient(cfg *rest.Config, base, token string) (*client, error) {
	anonymous := rest.AnonymousClientConfig(cfg)
	tlsConfig, err := rest.TLSConfigFor(anonymous)
	if err != nil {
		return nil, fmt.Errorf("configure TLS: %w", err)
	}
	return &client{base: base, token: token, http: &http.Client{Transport: &http.Transport{
		TLSClientConfig:    tlsConfig,
		ForceAttemptHTTP2:  true,
		DisableCompression: true,
	}}}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// open sends a request and returns the answer with its body unread.
func (c *client) open(ctx context.Context, q call) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", "gatehouse-bench/1")
	req.Header.Set("Accept", orJSON(q.accept))
	if len(q.body) > 0 {
		req.Header.Set("Content-Type", orJSON(q.contentType))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", q.method, q.path, err)
	}
	if err := checkAnswer(resp, q); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

func checkAnswer(resp *http.Response, q call) error {
	want := q.want
	if want == 0 {
		want = http.StatusOK
	}
	if resp.StatusCode != want {
		message, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // absent is 0
		r := refusal{resp.StatusCode, string(message), time.Duration(seconds) * time.Second}
		return fmt.Errorf("%s %s: %w", q.method, q.path, r)
	}
	if resp.ProtoMajor != 2 {
		return fmt.Errorf("%s %s: answered over %s, want HTTP/2", q.method, q.path, resp.Proto)
	}
	kind, _, _ := strings.Cut(orJSON(q.accept), ";")
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
		return fmt.Errorf("%s %s: answered as %q, want %s", q.method, q.path, got, kind)
	}
	return nil
}

// read sends a request and returns the whole body.
func (c *client) read(ctx context.Context, q call) ([]byte, error) {
	resp, err := c.open(ctx, q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: read: %w", q.method, q.path, err)
	}
	return body, nil
}

// drain sends a request and returns the size of the body.
func (c *client) drain(ctx context.Context, q call) (int64, error) {
	resp, err := c.open(ctx, q)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return 0, fmt.Errorf("%s %s: read: %w", q.method, q.path, err)
	}
	return n, nil
}

func orJSON(mediaType string) string {
	if mediaType == "" {
		return jsonType
	}
	return mediaType
}

// asRefusal finds the status in an error that an answer has caused.
func asRefusal(err error) (refusal, bool) {
	var r refusal
	ok := errors.As(err, &r)
	return r, ok
}

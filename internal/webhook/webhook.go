// Package webhook asks a service over HTTPS that a kubeconfig names, as Kubernetes' webhooks for authentication and authorization are
// configured: the server of the current context is the URL, exactly as it stands there.
//
// The service is always verified, by the authority in the kubeconfig or those of the system. It is shown the client certificate or token in
// the kubeconfig and nothing else of this server's. Redirects are not followed.
//
// Bounds: [MaxConcurrent] calls at a time, [Timeout] for each try, [Tries] tries with growing pauses, and [MaxAnswerBytes]
// of an answer.
//
// Limits: a kubeconfig with insecure-skip-tls-verify, proxy-url, exec, auth-provider, as, or a password is refused by name.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of calls.
const (
	MaxConcurrent  = 64
	Tries          = 5
	Timeout        = 30 * time.Second
	MaxAnswerBytes = 3 << 20
)

const (
	firstPause  = 500 * time.Millisecond
	pauseFactor = 1.5
	pauseJitter = 0.2 // of the pause, on top
	maxPause    = 30 * time.Second
)

// Client calls one webhook. It is safe for concurrent use.
type Client struct {
	path    string
	timeout time.Duration
	slots   chan struct{}
	current atomic.Pointer[connection]
}

// connection is one version of the kubeconfig.
type connection struct {
	*endpoint
	http *http.Client
}

// Open reads the kubeconfig at path. timeout bounds each try; 0 means [Timeout].
func Open(path string, timeout time.Duration) (*Client, error) {
	if timeout <= 0 {
		timeout = Timeout
	}
	c := &Client{path: path, timeout: timeout, slots: make(chan struct{}, MaxConcurrent)}
	if _, err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the kubeconfig and the files that it names again and reports whether anything changed. On an error what was last good
// stays in use.
func (c *Client) Reload() (changed bool, err error) {
	e, err := load(c.path)
	if err != nil {
		return false, fmt.Errorf("webhook: %w", err)
	}
	old := c.current.Load()
	if old != nil && slices.EqualFunc(old.files, e.files, bytes.Equal) {
		return false, nil
	}
	transport := &http.Transport{
		TLSClientConfig: e.tls, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
		MaxIdleConnsPerHost: MaxConcurrent, MaxResponseHeaderBytes: 64 << 10,
	}
	c.current.Store(&connection{endpoint: e, http: &http.Client{
		Transport: transport, Timeout: c.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the webhook redirects, which is not followed")
		},
	}})
	if old != nil {
		old.http.CloseIdleConnections()
	}
	return true, nil
}

// Close closes connections that are not in use.
func (c *Client) Close() error {
	c.current.Load().http.CloseIdleConnections()
	return nil
}

// statusError is an answer that is no success.
type statusError struct {
	code  int
	after time.Duration // how long the webhook asks to wait; 0: it does not
}

// Error says no more than the code: the body may hold anything.
func (e *statusError) Error() string {
	return fmt.Sprintf("the webhook answered %d %s", e.code, http.StatusText(e.code))
}

// Post sends a question as JSON and decodes the answer into out, trying again where that may help. Neither question nor answer is part
// of an error.
func (c *Client) Post(ctx context.Context, question, out any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("webhook: encode the question: %w", err)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return fmt.Errorf("webhook: wait for other calls to end: %w", ctx.Err())
	}
	pause := firstPause
	for try := 1; ; try++ {
		err := c.try(ctx, body, out)
		wait, again := retry(err)
		if err == nil || !again || try == Tries {
			return wrap(err)
		}
		wait = max(wait, pause+time.Duration(rand.Float64()*pauseJitter*float64(pause))) //nolint:gosec // The spread needs no secrecy.
		pause = time.Duration(float64(pause) * pauseFactor)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return wrap(errors.Join(err, ctx.Err()))
		}
	}
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("webhook: %w", err)
}

func (c *Client) try(ctx context.Context, body []byte, out any) error {
	conn := c.current.Load()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, conn.url.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "gatehouse")
	if conn.authorization != nil {
		value, err := conn.authorization()
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", value)
	}
	resp, err := conn.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswerBytes+1))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return &statusError{code: resp.StatusCode, after: retryAfter(resp.Header)}
	case err != nil:
		return fmt.Errorf("read the answer: %w", err)
	case len(data) > MaxAnswerBytes:
		return fmt.Errorf("the answer is larger than %d bytes", MaxAnswerBytes)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return errors.New("the answer is not the JSON that was expected")
	}
	return nil
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxPause)
}

// retry reports whether an error may pass, and what pause the webhook asked for.
func retry(err error) (wait time.Duration, again bool) {
	var status *statusError
	if errors.As(err, &status) {
		switch status.code {
		case http.StatusInternalServerError, http.StatusGatewayTimeout, http.StatusTooManyRequests:
			return status.after, true
		}
		return status.after, status.after > 0
	}
	return 0, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Package tokencache remembers for a short time what an authenticator said of a token, for those that have to ask somebody else or compute
// much.
//
// Tokens are kept only as HMAC-SHA256 under a key that is made anew in each process, together with the audiences they were asked for. Of
// requests with the same token at the same time one asks. Errors are not remembered. What is remembered ends with the credential,
// where its end is known, and revocation is asked about after the cache ([authn.Chain]), so that nothing here outlives it.
//
// Bounds: [Size] tokens that were recognised and as many that were not, apart from each other, so that made-up tokens do not push out good
// ones; a question that nobody waits for any more ends after [DetachedTimeout].
package tokencache

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse/gatehouse/authn"
)

const (
	// Size is how many tokens are remembered of each kind.
	Size = 4096
	// DetachedTimeout bounds a question, which goes on when the request that began it ends: others may wait for its answer.
	DetachedTimeout = 30 * time.Second
)

const keyBytes = 32

// Options say what to remember. Next and Clock are required.
type Options struct {
	// Next is asked about tokens that are not remembered.
	Next authn.Authenticator
	// Success and Failure are how long it is remembered that a token was recognised, or was not. 0 remembers nothing.
	Success, Failure time.Duration
	// Clock is what the times are judged by.
	Clock func() time.Time
}

// Cache is an authenticator of bearer tokens. It is safe for concurrent use.
type Cache struct {
	opts  Options
	key   []byte
	good  *lru.Cache[string, entry]
	bad   *lru.Cache[string, entry]
	asked singleflight.Group
}

// entry is what is remembered of a token.
type entry struct {
	res *authn.Result // nil for a token that was not recognised
	end time.Time
}

// remembered returns what is still known of a token.
func (c *Cache) remembered(key string) (*authn.Result, bool) {
	for _, known := range []*lru.Cache[string, entry]{c.good, c.bad} {
		if e, ok := known.Get(key); ok && c.opts.Clock().Before(e.end) {
			return e.res, true
		}
	}
	return nil, false
}

// New makes an empty cache.
func New(opts Options) (*Cache, error) {
	if opts.Next == nil || opts.Clock == nil {
		return nil, errors.New("token cache: the authenticator or the clock is missing")
	}
	c := &Cache{opts: opts, key: make([]byte, keyBytes)}
	if _, err := rand.Read(c.key); err != nil {
		return nil, err
	}
	var err, err2 error
	c.good, err = lru.New[string, entry](Size)
	c.bad, err2 = lru.New[string, entry](Size)
	return c, errors.Join(err, err2)
}

// Authenticate implements [authn.Authenticator]. The next authenticator sees the token and the audiences and nothing else of the
// credentials.
func (c *Cache) Authenticate(ctx context.Context, cred authn.Credentials) (*authn.Result, error) {
	if !cred.HasBearer {
		return nil, nil
	}
	key := c.keyOf(cred)
	if res, ok := c.remembered(key); ok {
		return res, nil
	}
	answer := c.asked.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), DetachedTimeout)
		defer cancel()
		return c.ask(ctx, key, authn.Credentials{BearerToken: cred.BearerToken, HasBearer: true, Audiences: cred.Audiences})
	})
	select {
	case a := <-answer:
		res, _ := a.Val.(*authn.Result)
		return res, a.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Cache) ask(ctx context.Context, key string, cred authn.Credentials) (*authn.Result, error) {
	res, err := c.opts.Next.Authenticate(ctx, cred)
	if err != nil {
		return nil, err
	}
	now, life, known := c.opts.Clock(), c.opts.Success, c.good
	if res == nil {
		life, known = c.opts.Failure, c.bad
	}
	end := now.Add(life)
	if res != nil && !res.Expires.IsZero() && res.Expires.Before(end) {
		end = res.Expires
	}
	if now.Before(end) {
		known.Add(key, entry{res: res, end: end})
	}
	return res, nil
}

// keyOf writes lengths before values, so that no two questions have one key.
func (c *Cache) keyOf(cred authn.Credentials) string {
	h := hmac.New(sha256.New, c.key)
	write := func(s string) {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(s)))
		h.Write(length[:])
		h.Write([]byte(s))
	}
	write(cred.BearerToken)
	for _, audience := range cred.Audiences {
		write(audience)
	}
	return string(h.Sum(nil))
}

package server

import (
	"context"
	"crypto/x509"
	"sync"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authn"
)

// This file ends long-running requests whose credential has ceased to be good since they began: whoever is locked out must not go on
// watching for an hour.

// Rechecker judges a credential again by which a request was let in; see [authn.Chain.Recheck].
type Rechecker interface {
	Recheck(ctx context.Context, c authn.Credentials, info api.RequestInfo, was *authn.Result) error
}

// heldRequest is a long-running request in work.
type heldRequest struct {
	credentials authn.Credentials
	info        api.RequestInfo
	who         *authn.Result
	end         context.CancelCauseFunc
}

// heldRequests are all long-running requests of somebody; their number is bounded by the limits of open requests.
type heldRequests struct {
	mu   sync.Mutex // guards open
	open map[*heldRequest]struct{}
}

func (h *heldRequests) add(r *heldRequest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open == nil {
		h.open = map[*heldRequest]struct{}{}
	}
	h.open[r] = struct{}{}
}

func (h *heldRequests) remove(r *heldRequest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, r)
}

func (h *heldRequests) list() []*heldRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]*heldRequest, 0, len(h.open))
	for r := range h.open {
		list = append(list, r)
	}
	return list
}

// hold remembers a long-running request and what it was let in by. Its headers are copied: a later stage removes from them what a
// front proxy stated.
func (x *exchange) hold(c authn.Credentials) {
	if !x.longRunning || x.s.cfg.Rechecker == nil || x.who.User.IsAnonymous() {
		return
	}
	c.Header = c.Header.Clone()
	delete(c.Header, "Authorization")
	x.held = &heldRequest{credentials: c, info: x.info, who: x.who, end: x.life.end}
	x.s.held.add(x.held)
}

// release forgets the request.
func (x *exchange) release() {
	if x.held != nil {
		x.s.held.remove(x.held)
	}
}

// credentialKey tells requests apart that may get different answers.
type credentialKey struct {
	leaf  *x509.Certificate
	token string
	// name and uid are those that the credential meant, which may have changed between two requests.
	name, uid string
	other     *heldRequest // set where the headers count
}

// Recheck judges the credentials of all long-running requests again, each once, and ends the requests of those that are not good any
// more. What cannot be judged, because etcd does not answer or ctx has ended, goes on. It returns how many it has ended.
func (s *Server) Recheck(ctx context.Context) (ended int) {
	verdicts := map[credentialKey]error{}
	for _, r := range s.held.list() {
		key := r.key()
		err, known := verdicts[key]
		if !known {
			err = s.cfg.Rechecker.Recheck(ctx, r.credentials, r.info, r.who)
			verdicts[key] = err
		}
		if err == nil || ctx.Err() != nil || notChecked(err) {
			continue
		}
		s.cfg.Logger.Warn("a long-running request was ended: its credential is not good any more",
			"user", r.who.User.Name, "path", r.info.Path, "error", api.ToError(err).Unwrap())
		r.end(err)
		ended++
	}
	return ended
}

func (r *heldRequest) key() credentialKey {
	key := credentialKey{token: r.credentials.BearerToken, name: r.who.User.Name, uid: r.who.User.UID}
	if len(r.credentials.PeerCertificates) > 0 {
		key.leaf = r.credentials.PeerCertificates[0]
	}
	if r.who.Method == "requestheader" {
		key.other = r
	}
	return key
}

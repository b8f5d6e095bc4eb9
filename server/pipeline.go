package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authn"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/ratelimit"
)

// This file is the way of a request, top to bottom. Each stage is one method of exchange; parse comes first, and serve
// calls them in their only order and stops at the first that refuses.

// exchange is one request on its way through the stages. Each field is set by one stage and read by later ones.
type exchange struct {
	s *Server
	w *responseWriter
	r *http.Request

	received time.Time
	auditID  string
	peer     netip.Addr
	warnings api.Warnings
	body     *trackedBody // parse; nil over HTTP/2 and where there is no body

	info    api.RequestInfo // parse
	held    *heldRequest    // authenticate; nil but for long-running requests
	refused error           // authenticate: why the credential was refused
	who     *authn.Result   // authenticate; nil if it failed
	user    api.User        // authenticate: who was recognised; impersonate: who the request acts as
	record  *audit.Record   // beginAudit; nil before it
	seat    *ratelimit.Seat // limitClient; nil before it
	permit  authz.Permit    // authorize

	// What each request needs besides is a part of its exchange: memory comes in one piece instead of six.
	out  responseWriter // what w points to
	told [3]string      // the values of the headers that every answer has
	task task           // for the worker
	err  error          // parse: what it said

	// What setDeadline makes, in parse.
	request  http.Request // what r points to from then on
	life     lifetime     // the context of request; of a long-running one only what ends it
	timer    *time.Timer  // calls expire at the deadline; nil if there is none or it has passed
	handling sync.Mutex   // held while deadlines are set; the stream must not be touched once its handler has returned

	handled     bool // guarded by handling
	longRunning bool // parse
	cut         bool // complete: the client has a part of an answer
}

// ServeHTTP takes one request through the stages and finishes what they began, whatever happened.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := s.newExchange(w, r)
	if !s.requests.enter() {
		x.introduce()
		x.turnAway()
		return
	}
	defer s.requests.leave()
	defer x.endContext()

	x.task.f = x.begin
	s.workers.run(&x.task)
	if x.longRunning {
		x.complete()
	}
	if x.cut {
		// The client has part of an answer; ending the stream badly tells it that the rest is missing.
		panic(http.ErrAbortHandler)
	}
}

// begin parses the request and, unless it is long-running, completes it.
func (x *exchange) begin() {
	x.introduce()
	if x.err = x.guard(x.parse); !x.longRunning {
		x.complete()
	}
}

// complete takes the request through the stages after parse and finishes it.
func (x *exchange) complete() {
	err := x.err
	if err == nil {
		err = x.guard(x.serve)
	}
	x.cut = err != nil && (x.w.began() || errors.Is(err, http.ErrAbortHandler))
	if err != nil && !x.cut {
		x.refuse(err)
	}
	x.finish(err)
}

func (s *Server) newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{s: s, r: r, received: time.Now()}
	x.out = responseWriter{ResponseWriter: w, warnings: &x.warnings}
	x.w = &x.out
	return x
}

// introduce names the request and its peer, and sets the headers that every answer has.
func (x *exchange) introduce() {
	x.auditID, x.peer = uuid.NewString(), peerAddr(x.r.RemoteAddr)
	// As Set does, but without a slice for each. Whoever adds a value gets another slice, since none has room.
	x.told = [...]string{x.auditID, cachePrivate, "nosniff"}
	h := x.w.Header()
	h["Audit-Id"], h["Cache-Control"], h["X-Content-Type-Options"] = x.told[0:1:1], x.told[1:2:2], x.told[2:3:3]
	x.s.cfg.Edge.tell(h, x.r)
}

// serve is the order of the stages after parse.
func (x *exchange) serve() error {
	if x.isPreflight() {
		return x.preflight()
	}
	if err := x.limitPeer(); err != nil {
		return err
	}
	if err := x.authenticate(); err != nil {
		// A refused credential is recorded as well. If that fails, the answer stays 401.
		return errors.Join(err, x.beginAudit())
	}
	if err := x.beginAudit(); err != nil {
		return err
	}
	if err := x.limitClient(); err != nil {
		return err
	}
	if err := x.impersonate(); err != nil {
		return err
	}
	if err := x.recordReceived(); err != nil {
		return err
	}
	if err := x.authorize(); err != nil {
		return err
	}
	return x.handle()
}

// errPanic is in the chain of the error that a panic below it became.
var errPanic = errors.New("the request caused a panic")

// guard is the recover stage: a panic becomes a 500 and ends this request only. The value of a panic
// may hold parts of the request, so only the runtime's own texts are logged.
func (x *exchange) guard(serve func() error) (err error) {
	defer func() {
		p := recover()
		switch {
		case p == nil:
			return
		case p == http.ErrAbortHandler: //nolint:errorlint // It is compared as net/http does.
			err = http.ErrAbortHandler
			return
		}
		what := fmt.Sprintf("a value of type %T", p)
		if re, ok := p.(runtime.Error); ok {
			what = re.Error()
		}
		x.s.cfg.Logger.Error("panic while serving a request", "auditID", x.auditID, "panic", what, "stack", string(debug.Stack()))
		err = api.Internal(errPanic)
	}()
	return serve()
}

// parse says once what the request asks for, and bounds how long it may take. A question of a browser about another site asks for nothing.
func (x *exchange) parse() (err error) {
	if x.isPreflight() {
		return nil
	}
	if err := x.boundConnection(x.s.cfg.RequestTimeout); err != nil {
		return err
	}
	if u := x.r.URL; u.Scheme != "" || u.Host != "" || u.Opaque != "" {
		return api.BadRequest("the request target must be a path")
	}
	if x.info, err = api.ParseRequest(x.r.Method, x.r.URL); err != nil {
		return err
	}
	x.longRunning = isLongRunning(x.info)
	if x.info.Verb == "watch" && x.r.Method == http.MethodGet && x.r.ContentLength != 0 {
		// The stream lifts the connection's deadlines, and a body that is still to come would then have none.
		return api.BadRequest("a watch has no body")
	}
	timeout := x.s.cfg.RequestTimeout
	if asked := queryValue(x.r, "timeout"); asked != "" && !x.longRunning {
		d, err := time.ParseDuration(asked)
		if err != nil {
			return api.BadRequest("invalid timeout specified in the request URL - %s", api.Shorten(err.Error(), maxTimeoutText))
		}
		if d > 0 {
			timeout = min(timeout, d)
			if err := x.boundConnection(timeout); err != nil {
				return err
			}
		}
	}
	x.setDeadline(timeout)
	x.limitBody()
	return nil
}

// maxTimeoutText bounds what an answer says about a timeout that is none, in bytes: the error quotes it.
const maxTimeoutText = 1 << 10

// isLongRunning tells requests that have no natural end.
func isLongRunning(info api.RequestInfo) bool {
	if !info.IsResource {
		return false
	}
	if info.Verb == "watch" {
		return true
	}
	return connects(info)
}

// limitPeer bounds what the address may ask. Health probes that find it exhausted have a small lane of their own.
func (x *exchange) limitPeer() error {
	wait, ok := x.s.cfg.Peers.Allow(x.peer)
	if ok || (isProbe(x.info) && x.s.healthLane.Allow()) {
		return nil
	}
	return api.TooManyRequests("too many requests from this address, please try again later", int(math.Ceil(wait.Seconds())))
}

// isProbe reports whether the request asks for the server's health.
func isProbe(info api.RequestInfo) bool {
	return !info.IsResource && (info.Path == "/livez" || info.Path == "/readyz" || info.Path == "/healthz")
}

// authenticate says who asks. The credential is taken off the request, so that nothing later can log or forward it.
func (x *exchange) authenticate() error {
	began := time.Now()
	var credentials authn.Credentials
	err := takeProtocolToken(x.r)
	if err == nil {
		credentials, err = authn.FromRequest(x.r)
	}
	if err == nil {
		x.who, err = x.s.cfg.Authenticator.Authenticate(x.r.Context(), credentials, x.info)
	}
	delete(x.r.Header, "Authorization")
	if err == nil && (x.who == nil || x.who.User.Name == "") {
		err = api.Unauthorized(errNobody)
	}
	x.s.metrics.stages.authenticated(x.r, x.who, err, time.Since(began))
	if x.r.ProtoMajor == 2 && (err != nil || x.who.User.IsAnonymous()) {
		// Whoever shows no credential gets no connection to multiplex on.
		x.w.Header().Set("Connection", "close")
	}
	if err != nil {
		x.who, x.refused = nil, err
		if !notChecked(err) {
			x.s.cfg.Peers.Penalize(x.peer)
		}
		return err
	}
	x.user = x.who.User
	x.hold(credentials)
	for _, text := range x.who.Warnings {
		x.warnings.Add(text)
	}
	return nil
}

// notChecked reports whether a credential was refused because checking it failed, as when etcd cannot say whether the
// account of a token still exists. The peer is not to blame: after an outage it must not be locked out as well. Only
// what is signed by a key of this server gets so far that a check can fail.
func notChecked(err error) bool {
	cause := api.ToError(err).Unwrap()
	var e *api.Error
	return errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled) ||
		(errors.As(cause, &e) && e.Code() >= http.StatusInternalServerError)
}

var errNobody = errors.New("the authenticator recognised nobody")

// annotationClientID holds the Audit-ID header of a request: the client's name for it, and only that.
const annotationClientID = "server.gatehouse.dev/client-audit-id"

// beginAudit makes the record that the request will end on, however it ends from here on.
func (x *exchange) beginAudit() (err error) {
	request := audit.Request{
		AuditID: x.auditID, User: x.user, Info: x.info, SourceIPs: sourceIPs(x.r.Header, x.peer),
		UserAgent: api.Cut(x.r.UserAgent(), maxUserAgent), Method: x.r.Method, RequestURI: x.r.RequestURI, Received: x.received,
	}
	if x.who != nil {
		request.AuthMethod = x.who.Method
	}
	if x.record, err = x.s.cfg.Auditor.Begin(x.r.Context(), request); err != nil {
		x.s.metrics.stages.unaudited.Inc()
		return fmt.Errorf("begin the audit record: %w", err)
	}
	if id := x.r.Header.Get("Audit-Id"); id != "" {
		x.record.Annotate(annotationClientID, api.Cut(strings.ToValidUTF8(id, ""), maxClientID))
	}
	x.annotateCredential()
	x.s.metrics.stages.audited.Inc()
	return nil
}

// annotationCredential names a credential that the user's extra does not: that of a front proxy.
const annotationCredential = "server.gatehouse.dev/credential-id"

// annotationRevoked marks a request that was refused because its credential has been revoked, or ended because it was
// revoked meanwhile.
const annotationRevoked = "server.gatehouse.dev/credential-revoked"

// annotateCredential adds to the record what the authenticator had to say.
func (x *exchange) annotateCredential() {
	if x.who == nil {
		if errors.Is(x.refused, authn.ErrRevoked) {
			x.record.Annotate(annotationRevoked, "true")
		}
		var said *authn.AnnotatedError
		if errors.As(x.refused, &said) {
			for key, value := range said.Annotations {
				x.record.Annotate(key, value)
			}
		}
		return
	}
	for key, value := range x.who.Annotations {
		x.record.Annotate(key, value)
	}
	if id := x.who.CredentialID; id != "" && len(x.who.User.Extra[api.ExtraCredentialID]) == 0 {
		x.record.Annotate(annotationCredential, id)
	}
}

// impersonate replaces the user by the one the request wants to act as, if its own user may do that.
func (x *exchange) impersonate() error {
	wanted, err := authn.ImpersonationFrom(x.r)
	x.s.cfg.IdentityHeaders.Strip(x.r.Header)
	if err != nil || wanted == nil {
		return err
	}
	user, err := wanted.As(x.r.Context(), x.user, func(ctx context.Context, user api.User, info api.RequestInfo) error {
		_, err := x.s.cfg.Authorizer.Permit(ctx, user, info)
		return err
	})
	if err != nil {
		return err
	}
	x.user = user
	x.record.SetImpersonated(user)
	return nil
}

// limitClient takes the request's share of the server. It is charged to who was authenticated, not to who is
// impersonated: otherwise the right to impersonate would be the right to unlimited shares. It comes before impersonation,
// each fact of which is authorized: hundreds of headers would be as many decisions for which nobody is charged.
func (x *exchange) limitClient() (err error) {
	client := ratelimit.Client{
		Name:   x.who.User.Name,
		Exempt: isProbe(x.info) || x.who.User.InGroup(api.GroupMasters),
	}
	x.seat, err = x.s.cfg.Clients.Acquire(x.r.Context(), client, ratelimit.CostOf(x.info))
	return err
}

// recordReceived makes the request known to the audit log; for a write, durably so. Nothing before it has an effect, and what the
// client limit refuses does not cost a write to the disk.
func (x *exchange) recordReceived() error {
	if err := x.record.Received(x.r.Context()); err != nil {
		x.s.metrics.stages.unaudited.Inc()
		return fmt.Errorf("record that the request was received: %w", err)
	}
	return nil
}

// authorize turns the request into a permit to do exactly that.
func (x *exchange) authorize() (err error) {
	began := time.Now()
	defer func() { x.s.metrics.stages.authorized(err, time.Since(began)) }()
	if x.fromOtherSite() {
		err = authz.Refusal(x.user, x.info, reasonOtherSite)
	} else {
		x.permit, err = x.s.cfg.Authorizer.Permit(x.r.Context(), x.user, x.info)
	}
	if err == nil && createsSession(x.info, x.r.Header) && x.info.Verb != "create" {
		err = x.authorizeCreate()
	}
	switch {
	case err == nil:
		x.record.Annotate(audit.AnnotationDecision, "allow")
		x.record.Annotate(audit.AnnotationReason, x.permit.Reason())
		return nil
	case errors.Is(err, authz.ErrDenied):
		x.record.Annotate(audit.AnnotationDecision, "forbid")
		x.record.Annotate(audit.AnnotationReason, api.ToError(err).Status.Message)
	}
	return err
}

// authorizeCreate asks for the right to create as well, for a request that creates something under another verb. The permit stays the one for
// the verb that the request has.
func (x *exchange) authorizeCreate() error {
	create := x.info
	create.Verb = "create"
	_, err := x.s.cfg.Authorizer.Permit(x.r.Context(), x.user, create)
	return err
}

// handle answers. The body is looked at here for the first time.
func (x *exchange) handle() error {
	if x.r.ContentLength > MaxBodyBytes && !streamsBody(x.info) {
		return &http.MaxBytesError{Limit: MaxBodyBytes}
	}
	defer x.s.metrics.begin(x.info, x.longRunning)()
	if !x.info.IsResource {
		return x.s.servePath(x.w, x.r, x.info)
	}
	return x.s.cfg.Resources.ServeResource(x.w, x.r, x.permit, x.record, x.seat)
}

package audit

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
)

// Request is what is known of a request once its user is.
type Request struct {
	// AuditID ties the events of a request together and is what the Audit-ID response header says. Empty makes a random one. Clients may
	// choose it, so it is not unique.
	AuditID string
	User    api.User
	// Impersonated is the user acted as, where that is known already.
	Impersonated *api.User
	Info         api.RequestInfo
	// SourceIPs end with the address of the peer; those before it are claims.
	SourceIPs             []string
	UserAgent, RequestURI string
	// Method is the HTTP method. It is not recorded; Info.Verb is.
	Method string
	// Received is when the request arrived; zero is now.
	Received time.Time
	// AuthMethod is how the user was authenticated, as in authn.Result.
	AuthMethod string
}

// Record is the audit of one request. A nil *Record, as [Log.Begin] returns for a request that is not recorded, ignores all
// calls. It is safe for concurrent use.
type Record struct {
	log      *Log
	decision decision
	secret   bool
	precedes bool // the RequestReceived event has to be durable before the request is executed

	mu       sync.Mutex    // guards the fields below
	event    Event         // without annotations; for resources, ObjectRef is &ref
	notes    annotations   // the annotations
	few      [5]annotation // room for notes
	ref      ObjectReference
	status   metav1.Status // what ResponseStatus points to, where it is a code alone
	received bool          // Received was called: the request may have been executed
	done     bool          // Finish or Close was called, or Received refused
}

// Begin starts the audit of a request, which must not be executed before [Record.Received] has returned. A request that is
// refused before that ends with Finish, and is on record with that one event. Of refusals with code 401 of one address, and with 429 of
// one user, at most one a second is on record, see [AnnotationSummarised].
//
// The error is an *[api.Error] with code 503; the request must be refused then. A nil Record without an error means that the
// policy does not want the request recorded.
func (l *Log) Begin(_ context.Context, r Request) (*Record, error) {
	d := l.policy.Load().decide(r.User, r.Info)
	if d.level == LevelNone {
		return nil, nil
	}
	if err := l.admit(false); err != nil {
		return nil, err
	}
	rec := l.newRecord(r, d)
	rec.precedes = precedes(r.Info)
	return rec, nil
}

// Received records that the request is going to be executed. For one that can change something, or opens a way into a pod
// or node, it returns when the RequestReceived event is durable. The error is an *[api.Error] with code 503; the request must not be
// executed then, and its record has ended. It must be called once. That the policy omits the stage changes nothing for such a
// request: the record before the effect is what the log promises.
func (r *Record) Received(ctx context.Context) error {
	if r == nil {
		return nil
	}
	omitted := !r.precedes && r.decision.omit.has(StageRequestReceived)
	r.mu.Lock()
	r.received = true
	var event *entry
	if !omitted {
		event = r.encode(StageRequestReceived, r.event.RequestReceivedTimestamp.Time)
	}
	r.mu.Unlock()
	err := r.log.admit(r.secret && !r.precedes)
	switch {
	case err != nil || omitted:
	case r.precedes:
		err = r.log.append(ctx, event)
	default:
		err = r.log.queued(ctx, event)
	}
	if errors.Is(err, errLate) {
		r.notExecuted()
	}
	if err != nil {
		r.mu.Lock()
		r.done = true
		r.mu.Unlock()
	}
	return err
}

// admit refuses requests while records cannot be written. A request that waits for its RequestReceived event is not vital: it is
// the test whether writing works again. Of the others, those that must not go unrecorded are, and are refused at once, and the
// rest as soon as the queue is half full, so that those that run have room for their ResponseComplete.
func (l *Log) admit(vital bool) error {
	err := l.committer.failure.Load().error()
	if err == nil {
		return nil
	}
	if vital || 2*l.queue.fill() > l.opts.MaxQueueBytes {
		return notWritten(err)
	}
	return nil
}

func (l *Log) newRecord(r Request, d decision) *Record {
	if r.AuditID == "" {
		r.AuditID = uuid.NewString()
	}
	if r.Received.IsZero() {
		r.Received = l.opts.Clock()
	}
	rec := &Record{log: l, decision: d, secret: sensitive(r.Info)}
	e := &rec.event
	e.Kind, e.APIVersion, e.Level = eventKind, eventAPIVersion, d.level
	e.AuditID = clamp(r.AuditID, MaxNameBytes)
	e.RequestURI = redactURI(r.RequestURI)
	e.Verb = clamp(r.Info.Verb, MaxNameBytes)
	e.User = userForLog(r.User)
	if r.Impersonated != nil {
		u := userForLog(*r.Impersonated)
		e.ImpersonatedUser = &u
	}
	e.SourceIPs = sourcesForLog(r.SourceIPs)
	e.UserAgent = freeText(r.UserAgent, MaxUserAgentBytes)
	if r.Info.IsResource {
		rec.ref = ObjectReference{
			Resource: clamp(r.Info.Resource, MaxNameBytes), Namespace: clamp(r.Info.Namespace, MaxNameBytes),
			Name: clamp(r.Info.Name, MaxNameBytes), APIGroup: clamp(r.Info.Group, MaxNameBytes),
			APIVersion: clamp(r.Info.Version, MaxNameBytes), Subresource: clamp(r.Info.Subresource, MaxNameBytes),
		}
		e.ObjectRef = &rec.ref
	}
	e.RequestReceivedTimestamp = metav1.NewMicroTime(r.Received)
	rec.notes = rec.few[:0]
	if r.AuthMethod != "" {
		rec.notes = rec.notes.set(AnnotationMethod, clamp(r.AuthMethod, MaxNameBytes))
	}
	return rec
}

// encode is called with mu held.
func (r *Record) encode(stage Stage, at time.Time) *entry {
	r.event.Stage = stage
	r.event.StageTimestamp = metav1.NewMicroTime(at)
	return r.entry()
}

// entry is called with mu held.
func (r *Record) entry() *entry {
	e := r.log.queue.entry(1024 + len(r.event.RequestObject) + len(r.event.ResponseObject))
	e.event = r.event.appendJSON(e.event, r.notes)
	return e
}

// AuditID is the identifier of the request's events, empty for a nil Record.
func (r *Record) AuditID() string {
	if r == nil {
		return ""
	}
	return r.event.AuditID // never changes
}

// Annotate adds an annotation to the events that follow. Credentials in the value are replaced, its length is
// bounded, and keys under AnnotationPrefix are ignored. The last value of a key wins.
func (r *Record) Annotate(key, value string) {
	if r == nil || strings.HasPrefix(key, AnnotationPrefix) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.annotate(key, value)
}

// annotate is called with mu held.
func (r *Record) annotate(key, value string) {
	key = clamp(key, MaxNameBytes)
	if _, there := r.notes.find(key); !there && len(r.notes) >= MaxAnnotations {
		return
	}
	r.notes = r.notes.set(key, freeText(value, MaxAnnotationBytes))
}

// SetImpersonated records the user that the request acts as.
func (r *Record) SetImpersonated(u api.User) {
	if r == nil {
		return
	}
	info := userForLog(u)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.event.ImpersonatedUser = &info
}

// SetObject records the name of the object where the path does not have it: that in the body of a create, or the one that the
// server chose. Events from then on have it, also that of a refusal.
func (r *Record) SetObject(name string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.event.ObjectRef != nil {
		r.event.ObjectRef.Name = clamp(name, MaxNameBytes)
	}
}

// WantsRequestObject reports whether a request body would be recorded, so that the caller can spare itself to make it.
func (r *Record) WantsRequestObject() bool {
	return r != nil && !r.secret && (r.decision.level == LevelRequest || r.decision.level == LevelRequestResponse)
}

// WantsResponseObject is WantsRequestObject for the response.
func (r *Record) WantsResponseObject() bool {
	return r != nil && !r.secret && r.decision.level == LevelRequestResponse
}

// SetRequestObject records the body of the request, in JSON, if the policy wants it and it holds no credentials. The
// bytes are not kept. A body that is not JSON or over MaxObjectBytes is left out, with an annotation that says so.
func (r *Record) SetRequestObject(body []byte) {
	if r.WantsRequestObject() {
		r.setObject(&r.event.RequestObject, body)
	}
}

// SetResponseObject is SetRequestObject for the response.
func (r *Record) SetResponseObject(body []byte) {
	if r.WantsResponseObject() {
		r.setObject(&r.event.ResponseObject, body)
	}
}

func (r *Record) setObject(to *json.RawMessage, body []byte) {
	object, err := objectForLog(body, r.decision.omitManagedFields)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case errors.Is(err, errObjectTooLarge):
		r.annotate(AnnotationTruncated, "true")
	case err != nil:
		r.annotate(AnnotationOmitted, err.Error())
	default:
		*to = object
	}
}

// ResponseStarted records that the headers of a long-running response were sent. Other responses do not have this stage.
func (r *Record) ResponseStarted(code int) {
	if r == nil || r.decision.omit.has(StageResponseStarted) {
		return
	}
	r.mu.Lock()
	if r.done {
		r.mu.Unlock()
		return
	}
	r.answered(code)
	event := r.encode(StageResponseStarted, r.log.opts.Clock())
	r.mu.Unlock()
	r.push(event)
}

// Finish records how the request ended. status is what a refused client was told, nil otherwise. It waits only while the
// queue is full. The first call of Finish or Close counts.
func (r *Record) Finish(code int, status *metav1.Status) {
	if r != nil {
		r.end(StageResponseComplete, code, status, r.push)
	}
}

// Close records stage Panic with code 500 unless Finish was called; it is meant to be deferred right after Begin.
func (r *Record) Close() {
	if r != nil {
		r.end(StagePanic, 500, nil, r.push)
	}
}

// notExecuted ends a record whose request was refused because the record was late; it may yet appear in the log.
func (r *Record) notExecuted() {
	r.mu.Lock()
	r.notes = r.notes.set(AnnotationOutcome, "not-executed")
	r.mu.Unlock()
	r.end(StageResponseComplete, 503, nil, func(event *entry) {
		if err := r.log.queue.force(event); err != nil {
			r.log.opts.Logger.Error("an audit record came after the log was closed", "stage", StageResponseComplete)
		}
	})
}

func (r *Record) end(stage Stage, code int, status *metav1.Status, push func(*entry)) {
	r.mu.Lock()
	if r.done {
		r.mu.Unlock()
		return
	}
	r.done = true
	if r.decision.omit.has(stage) {
		// The policy wants RequestReceived alone. A request that was refused before has that event only now.
		if stage = StageRequestReceived; r.received || r.decision.omit.has(stage) {
			r.mu.Unlock()
			return
		}
	}
	r.answered(code)
	if status != nil {
		r.event.ResponseStatus = statusForLog(code, status, r.secret && r.mayQuoteBody())
	}
	if kind, ok := r.refusal(code); ok {
		r.event.Stage, r.event.StageTimestamp = stage, metav1.NewMicroTime(r.log.opts.Clock())
		r.mu.Unlock()
		r.log.refusals.add(kind, r)
		return
	}
	event := r.encode(stage, r.log.opts.Clock())
	r.mu.Unlock()
	push(event)
}

// answered makes the code the status of the response. It is called with mu held.
func (r *Record) answered(code int) {
	r.status = metav1.Status{Code: int32(code)}
	r.event.ResponseStatus = &r.status
}

// mayQuoteBody reports whether what the client was told can hold a part of the body. Whoever refuses a request before it is received, or
// does not authorize it, has not seen the body. It is called with mu held.
func (r *Record) mayQuoteBody() bool {
	return r.received && r.notes.get(AnnotationDecision) != "forbid"
}

// push queues an event that nobody waits for.
func (r *Record) push(event *entry) {
	if err := r.log.queue.push(context.Background(), event); err != nil {
		r.log.opts.Logger.Error("an audit record came after the log was closed")
	}
}

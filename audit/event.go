package audit

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Level says how much of a request is recorded, from nothing to both bodies.
type Level string

// The levels of audit.k8s.io/v1, each recording what the one before it does and more.
const (
	LevelNone            Level = "None"
	LevelMetadata        Level = "Metadata"
	LevelRequest         Level = "Request"
	LevelRequestResponse Level = "RequestResponse"
)

// Stage is the point in the life of a request at which an event was made.
type Stage string

// The stages of audit.k8s.io/v1.
const (
	// StageRequestReceived is before anything was done for the request.
	StageRequestReceived Stage = "RequestReceived"
	// StageResponseStarted is after the headers of a long-running response, as of a watch, were sent.
	StageResponseStarted Stage = "ResponseStarted"
	// StageResponseComplete is after the response was sent.
	StageResponseComplete Stage = "ResponseComplete"
	// StagePanic takes the place of ResponseComplete where the request ended in a panic.
	StagePanic Stage = "Panic"
)

// Annotations with a meaning of their own. Keys under [AnnotationPrefix] are written by this package only.
const (
	// AnnotationDecision is "allow" or "forbid", the outcome of authorization.
	AnnotationDecision = "authorization.k8s.io/decision"
	// AnnotationReason is why authorization decided so.
	AnnotationReason = "authorization.k8s.io/reason"
	// AnnotationMethod is how the user was authenticated, for example x509.
	AnnotationMethod = "authentication.gatehouse.dev/method"
	// AnnotationTruncated is "true" where a body was left out because it is over MaxObjectBytes.
	AnnotationTruncated = "audit.k8s.io/truncated"
	// AnnotationPrefix begins the keys that are reserved for this package.
	AnnotationPrefix = "audit.gatehouse.dev/"
	// AnnotationOmitted says why a body is missing although the level asks for it.
	AnnotationOmitted = AnnotationPrefix + "object-omitted"
	// AnnotationOutcome is "unknown" for a request that was running when the server died, and
	// "not-executed" for one that was refused because its record was not durable in time.
	AnnotationOutcome = AnnotationPrefix + "outcome"
	// AnnotationSummarised is how many refusals an event stands for: itself, which was the last, and those like it since the
	// event before it. Without it an event stands for itself.
	AnnotationSummarised = AnnotationPrefix + "summarised"
	// AnnotationSummarisedOver is "all" where those refusals were of whoever they were, because too many users or addresses
	// were refused at the same time to tell them apart.
	AnnotationSummarisedOver = AnnotationPrefix + "summarised-over"
	// AnnotationNotice marks an event about the log itself and names its kind, for example "tail-cut".
	AnnotationNotice = AnnotationPrefix + "notice"
	// AnnotationRemovedThrough is the last sequence number that retention removed.
	AnnotationRemovedThrough = AnnotationPrefix + "removed-through"
)

const (
	eventKind       = "Event"
	eventAPIVersion = "audit.k8s.io/v1"
	// noticeUser and noticeVerb are who does what in events about the log itself.
	noticeUser = "system:gatehouse"
	noticeVerb = "notice"
)

// Event is one line of the log, with the member names, order and omissions of audit.k8s.io/v1.
type Event struct {
	Kind                     string            `json:"kind,omitempty"`
	APIVersion               string            `json:"apiVersion,omitempty"`
	Level                    Level             `json:"level"`
	AuditID                  string            `json:"auditID"`
	Stage                    Stage             `json:"stage"`
	RequestURI               string            `json:"requestURI"`
	Verb                     string            `json:"verb"`
	User                     UserInfo          `json:"user"`
	ImpersonatedUser         *UserInfo         `json:"impersonatedUser,omitempty"`
	SourceIPs                []string          `json:"sourceIPs,omitempty"` // all but the last can be forged by the client
	UserAgent                string            `json:"userAgent,omitempty"`
	ObjectRef                *ObjectReference  `json:"objectRef,omitempty"`
	ResponseStatus           *metav1.Status    `json:"responseStatus,omitempty"`
	RequestObject            json.RawMessage   `json:"requestObject,omitempty"`
	ResponseObject           json.RawMessage   `json:"responseObject,omitempty"`
	RequestReceivedTimestamp metav1.MicroTime  `json:"requestReceivedTimestamp"`
	StageTimestamp           metav1.MicroTime  `json:"stageTimestamp"`
	Annotations              map[string]string `json:"annotations,omitempty"`
	// Chain is nil in an event that is not in a log yet, or is in the log of another server.
	Chain *Link `json:"gatehouse,omitempty"`
}

// UserInfo is a user as events spell it.
type UserInfo struct {
	Username string              `json:"username,omitempty"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// ObjectReference names what a request for a resource is about. An empty name is that of a collection or of an
// object whose name the server has not chosen yet.
type ObjectReference struct {
	Resource        string `json:"resource,omitempty"`
	Namespace       string `json:"namespace,omitempty"`
	Name            string `json:"name,omitempty"`
	UID             string `json:"uid,omitempty"`
	APIGroup        string `json:"apiGroup,omitempty"`
	APIVersion      string `json:"apiVersion,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
	Subresource     string `json:"subresource,omitempty"`
}

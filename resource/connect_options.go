package resource

import (
	"net/url"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// parameter reads one query parameter into an options object.
type parameter struct {
	name string
	read func(values *[]string) error
}

func flag(name string, to *bool) parameter {
	return parameter{name, func(v *[]string) error { return runtime.Convert_Slice_string_To_bool(v, to, nil) }}
}

func number(name string, to **int64) parameter {
	return parameter{name, func(v *[]string) error { return runtime.Convert_Slice_string_To_Pointer_int64(v, to, nil) }}
}

func text(name string, to *string) parameter {
	return parameter{name, func(v *[]string) error { return runtime.Convert_Slice_string_To_string(v, to, nil) }}
}

// read fills options from the query, in the order in which kube-apiserver does, so that of several errors the same one is told.
func read(query url.Values, parameters ...parameter) error {
	for _, p := range parameters {
		if values := query[p.name]; len(values) > 0 {
			if err := p.read(&values); err != nil {
				return api.BadRequest("%v", err)
			}
		}
	}
	return nil
}

// connectOptions decodes the options of a request to connect, which come in its query.
func connectOptions(info api.RequestInfo, query url.Values) (runtime.Object, error) {
	var o runtime.Object
	var err error
	switch info.Subresource {
	case "log":
		v := &corev1.PodLogOptions{}
		if err := readLogOptions(query, v); err != nil {
			return nil, err
		}
		return v, checkLogOptions(info.Name, v)
	case "exec":
		v := &corev1.PodExecOptions{Command: query["command"]}
		o, err = v, read(query, flag("stdin", &v.Stdin), flag("stdout", &v.Stdout), flag("stderr", &v.Stderr), flag("tty", &v.TTY),
			text("container", &v.Container))
	case "attach":
		v := &corev1.PodAttachOptions{}
		o, err = v, read(query, flag("stdin", &v.Stdin), flag("stdout", &v.Stdout), flag("stderr", &v.Stderr), flag("tty", &v.TTY),
			text("container", &v.Container))
	case "portforward":
		v := &corev1.PodPortForwardOptions{}
		o, err = v, read(query, parameter{"ports", func(p *[]string) error { return metav1.Convert_Slice_string_To_Slice_int32(p, &v.Ports, nil) }})
	default:
		o = proxyOptions(info)
	}
	if err != nil {
		return nil, err
	}
	kind := map[string]string{"exec": "PodExecOptions", "attach": "PodAttachOptions", "portforward": "PodPortForwardOptions"}[info.Subresource]
	if kind == "" {
		kind = map[string]string{"pods": "PodProxyOptions", "services": "ServiceProxyOptions", "nodes": "NodeProxyOptions"}[info.Resource]
	}
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
	return o, nil
}

func readLogOptions(query url.Values, v *corev1.PodLogOptions) error {
	return read(query, text("container", &v.Container), flag("follow", &v.Follow), flag("previous", &v.Previous),
		number("sinceSeconds", &v.SinceSeconds),
		parameter{"sinceTime", func(p *[]string) error { return metav1.Convert_Slice_string_To_Pointer_v1_Time(p, &v.SinceTime, nil) }},
		flag("timestamps", &v.Timestamps), number("tailLines", &v.TailLines), number("limitBytes", &v.LimitBytes),
		flag("insecureSkipTLSVerifyBackend", &v.InsecureSkipTLSVerifyBackend),
		parameter{"stream", func(p *[]string) error { v.Stream = &(*p)[0]; return nil }})
}

// checkLogOptions refuses what kube-apiserver refuses with its default features.
func checkLogOptions(pod string, v *corev1.PodLogOptions) error {
	var errs field.ErrorList
	if v.TailLines != nil && *v.TailLines < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tailLines"), *v.TailLines, "must be greater than or equal to 0"))
	}
	if v.LimitBytes != nil && *v.LimitBytes < 1 {
		errs = append(errs, field.Invalid(field.NewPath("limitBytes"), *v.LimitBytes, "must be greater than 0"))
	}
	switch {
	case v.SinceSeconds != nil && v.SinceTime != nil:
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case v.SinceSeconds != nil && *v.SinceSeconds < 1:
		errs = append(errs, field.Invalid(field.NewPath("sinceSeconds"), *v.SinceSeconds, "must be greater than 0"))
	}
	if v.Stream != nil {
		errs = append(errs, field.Forbidden(field.NewPath("stream"), "may not be specified"))
	}
	if len(errs) == 0 {
		return nil
	}
	return api.Invalid(schema.GroupKind{Kind: "PodLogOptions"}, pod, errs)
}

// tailOf is the part of the path that is the target's, as it was sent.
func tailOf(info api.RequestInfo) string {
	if len(info.Tail) == 0 {
		return ""
	}
	return "/" + strings.Join(info.Tail, "/")
}

// proxyOptions hold the path at the target. An ending slash stays.
func proxyOptions(info api.RequestInfo) runtime.Object {
	at := tailOf(info)
	if at != "" {
		at = path.Clean(at)
	}
	if info.TrailingSlash {
		at += "/"
	}
	switch info.Resource {
	case "pods":
		return &corev1.PodProxyOptions{Path: at}
	case "services":
		return &corev1.ServiceProxyOptions{Path: at}
	}
	return &corev1.NodeProxyOptions{Path: at}
}

// proxyPath is the path in the options, which admission may have changed.
func proxyPath(options runtime.Object) string {
	switch o := options.(type) {
	case *corev1.PodProxyOptions:
		return o.Path
	case *corev1.ServiceProxyOptions:
		return o.Path
	case *corev1.NodeProxyOptions:
		return o.Path
	}
	return ""
}

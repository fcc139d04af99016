// Command gitops lets the code of the Git tools themselves judge objects and apply them.
//
//	gitops kstatus                         what Flux makes of an object
//	gitops cel KUSTOMIZATION               the same by the healthCheckExprs of a Kustomization
//	gitops health SCRIPT                   what Argo CD makes of it by a Lua script
//	gitops actions SCRIPT                  which actions Argo CD offers for it
//	gitops action SCRIPT                   the patch that Argo CD sends for an action
//	gitops reconcile KUSTOMIZATION         what Flux does with a set of objects
//
// All but the last read one JSON object a line from standard input and answer each with one line of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sjson "k8s.io/apimachinery/pkg/util/json"
)

// An object is at most 1.5 MiB in etcd by default.
const lineBound = 4 << 20

// judge answers for one object.
type judge func(object *unstructured.Unstructured) (any, error)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run(arguments []string, in io.Reader, out io.Writer) error {
	if len(arguments) == 1 && arguments[0] == "kstatus" {
		return each(in, out, kstatus)
	}
	if len(arguments) != 2 {
		return fmt.Errorf("usage: gitops kstatus, or gitops cel|health|actions|action|reconcile FILE")
	}
	command, file := arguments[0], arguments[1]
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	switch command {
	case "cel":
		cel, err := celHealth(text)
		if err != nil {
			return err
		}
		return each(in, out, cel)
	case "health":
		return each(in, out, argoHealth(string(text)))
	case "actions":
		return each(in, out, argoActions(string(text)))
	case "action":
		return each(in, out, argoAction(string(text)))
	case "reconcile":
		return reconcile(text, in, out)
	default:
		return fmt.Errorf("there is no command %q", command)
	}
}

func each(in io.Reader, out io.Writer, judge judge) error {
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	lines.Buffer(nil, lineBound)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		// Whole numbers stay whole, as they do in a client's cache: kstatus takes no others for a generation.
		if err := k8sjson.Unmarshal(lines.Bytes(), &object.Object); err != nil {
			return err
		}
		answer, err := judge(object)
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Command gitops says what Git tools make of objects.
//
// It reads one JSON object a line from standard input and answers each with one
// line: the status and message of kstatus, as Flux computes it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8sjson "k8s.io/apimachinery/pkg/util/json"
)

type answer struct {
	Status  status.Status `json:"status"`
	Message string        `json:"message"`
}

// An object is at most 1.5 MiB in etcd by default.
const lineBound = 4 << 20

func main() {
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(nil, lineBound)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		// Whole numbers stay whole, as they do in a client's cache: kstatus takes no others for a generation.
		if err := k8sjson.Unmarshal(lines.Bytes(), &object.Object); err != nil {
			fail(err)
		}
		result, err := status.Compute(object)
		if err != nil {
			result = &status.Result{Status: status.UnknownStatus, Message: err.Error()}
		}
		if err := answers.Encode(answer{result.Status, result.Message}); err != nil {
			fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gitops:", err)
	os.Exit(1)
}
